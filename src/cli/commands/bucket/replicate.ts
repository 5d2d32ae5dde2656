import { replicateBlocks } from '#/components/tools-bucket.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { parseDuration } from '#/model/time.ts';
import { parseMatchers } from '#/promql/parser.ts';
import { httpFlags, plannedServerFlags } from '../../common-flags.ts';
import { configFlags, configSource, flag } from '../../flags.ts';
import type { FlagValues } from '../../flags.ts';
import { bucketOf, httpOf } from '../shared.ts';
import { bucketToolCommand, parseIds, timeRangeFlags } from './bucket-tool.ts';

const flags = {
  ...httpFlags,
  ...timeRangeFlags,
  ...configFlags('objstore-to.config', { help: 'The bucket to copy to, as in Thanos.' }),
  resolution: flag.list({
    help: 'Only blocks of these resolutions.',
    placeholder: 'DURATION',
    default: ['0s', '5m', '1h'],
  }),
  'compaction-min': flag.integer({
    help: 'Only blocks of this compaction level or above.',
    default: '1',
  }),
  'compaction-max': flag.integer({
    help: 'Only blocks of this compaction level or below.',
    default: '4',
  }),
  compaction: flag.list({
    help: 'Only blocks of these compaction levels, instead of a range.',
    placeholder: 'NUMBER',
  }),
  matcher: flag.text({
    help: 'Only blocks whose external labels match: cluster="a",zone=~"x|y".',
    default: '',
  }),
  id: flag.list({
    help: 'Only this block, whatever its labels and levels are, and only once.',
    placeholder: 'ULID',
  }),
  'single-run': flag.toggle({ help: 'Copy once and end.', default: false }),
  'ignore-marked-for-deletion': flag.toggle({
    help: 'Leave out blocks that are marked for deletion.',
    default: false,
  }),
};
type Values = FlagValues<typeof flags>;

export const bucketReplicateCommand = bucketToolCommand(
  {
    name: 'replicate',
    summary: 'Copies blocks to another bucket, once or every minute.',
    flags,
    planned: plannedServerFlags,
  },
  (values, tool) => {
    const target = configSource(values['objstore-to.config'], values['objstore-to.config-file']);
    if (target === undefined) {
      throw new BadInputError('--objstore-to.config or --objstore-to.config-file is required');
    }
    return replicateBlocks(
      {
        http: httpOf(values),
        openTarget: bucketOf(target, values),
        resolutions: values.resolution.map(parseDuration),
        compactionLevels: levelsOf(values),
        matchers: matchersOf(values.matcher),
        minTime: values['min-time'],
        maxTime: values['max-time'],
        ids: parseIds(values.id),
        singleRun: values['single-run'],
        ignoreMarkedForDeletion: values['ignore-marked-for-deletion'],
      },
      tool,
    );
  },
);

function levelsOf(values: Values): number[] {
  if (values.compaction.length > 0) {
    return values.compaction.map((text) => {
      if (/^\d+$/.test(text)) return Number(text);
      throw new BadInputError(`--compaction: must be a whole number, got "${text}"`);
    });
  }
  const { 'compaction-min': first, 'compaction-max': last } = values;
  if (first > last) {
    throw new BadInputError(`--compaction-min: must be at most --compaction-max, got ${first}`);
  }
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function matchersOf(text: string) {
  if (text === '') return [];
  try {
    return parseMatchers(text.startsWith('{') ? text : `{${text}}`);
  } catch (thrown) {
    throw new BadInputError(`--matcher: ${messageOf(thrown)}`, { cause: thrown });
  }
}
