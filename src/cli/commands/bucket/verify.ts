import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueKinds, verifyBlocks } from '#/components/tools-bucket.ts';
import { BadInputError } from '#/lib/errors.ts';
import { configFlags, configSource, flag } from '../../flags.ts';
import type { FlagValues } from '../../flags.ts';
import { bucketOf } from '../shared.ts';
import { bucketToolCommand, parseIds } from './bucket-tool.ts';

const flags = {
  issues: flag.list({
    help: `What to look for: ${issueKinds.join(', ')}; block_bytes reads every byte.`,
    placeholder: 'ISSUE',
    default: ['index_known_issues', 'overlapped_blocks', 'block_files'],
    short: 'i',
  }),
  id: flag.list({ help: 'Look at this block only.', placeholder: 'ULID' }),
  repair: flag.toggle({
    help: 'Repair index_known_issues and duplicated_compaction; needs a backup bucket, and no compactor may run meanwhile.',
    default: false,
    short: 'r',
  }),
  ...configFlags('objstore-backup.config', {
    help: 'The bucket that blocks are copied to before a repair removes them.',
  }),
  'delete-delay': flag.duration({
    help: 'With --repair: mark blocks for deletion, for a compactor to delete after this time; 0s deletes them at once.',
    default: '0s',
  }),
  'data-dir': flag.text({
    help: 'Where blocks are repaired. A block needs room twice.',
    default: join(tmpdir(), 'hindsight-repair'),
  }),
};
type Values = FlagValues<typeof flags>;

export const bucketVerifyCommand = bucketToolCommand(
  {
    name: 'verify',
    summary:
      'Looks for what is wrong with the blocks in a bucket, repairs it if asked to, and ends with 1 if any is left.',
    flags,
  },
  (values, tool) =>
    verifyBlocks(
      { issues: values.issues.map(parseIssue), ids: parseIds(values.id), ...repairOf(values) },
      tool,
    ),
);

function repairOf(values: Values & Parameters<typeof bucketOf>[1]) {
  if (!values.repair) return {};
  const backup = configSource(
    values['objstore-backup.config'],
    values['objstore-backup.config-file'],
  );
  if (backup === undefined) {
    throw new BadInputError(
      'repair is specified, so backup client is required: give --objstore-backup.config or --objstore-backup.config-file',
    );
  }
  return {
    repair: {
      openBackup: bucketOf(backup, values),
      deleteDelayMs: values['delete-delay'],
      directory: values['data-dir'],
    },
  };
}

function parseIssue(text: string) {
  const kind = issueKinds.find((name) => name === text);
  if (kind !== undefined) return kind;
  throw new BadInputError(`--issues: no such issue ID ${text}; use ${issueKinds.join(', ')}`);
}
