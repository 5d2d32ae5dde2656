import { issueKinds, verifyBlocks } from '#/components/tools-bucket.ts';
import { BadInputError } from '#/lib/errors.ts';
import { flag } from '../../flags.ts';
import { bucketToolCommand, parseIds } from './bucket-tool.ts';

export const bucketVerifyCommand = bucketToolCommand(
  {
    name: 'verify',
    summary:
      'Looks for what is wrong with the blocks in a bucket, and ends with 1 if there is any.',
    flags: {
      issues: flag.list({
        help: `What to look for: ${issueKinds.join(', ')}; block_bytes reads every byte.`,
        placeholder: 'ISSUE',
        default: ['index_known_issues', 'overlapped_blocks', 'block_files'],
        short: 'i',
      }),
      id: flag.list({ help: 'Look at this block only.', placeholder: 'ULID' }),
    },
    planned: [
      'repair',
      'r',
      'objstore-backup.config',
      'objstore-backup.config-file',
      'delete-delay',
    ],
  },
  (values, tool) =>
    verifyBlocks({ issues: values.issues.map(parseIssue), ids: parseIds(values.id) }, tool),
);

function parseIssue(text: string) {
  const kind = issueKinds.find((name) => name === text);
  if (kind !== undefined) return kind;
  throw new BadInputError(`--issues: no such issue ID ${text}; use ${issueKinds.join(', ')}`);
}
