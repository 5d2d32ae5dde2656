import { listBlocks } from '#/components/tools-bucket.ts';
import { flag } from '../../flags.ts';
import { selectorOf } from '../shared.ts';
import { bucketToolCommand, selectorFlags, timeoutFlags, timeRangeFlags } from './bucket-tool.ts';

export const bucketLsCommand = bucketToolCommand(
  {
    name: 'ls',
    summary: 'Lists the blocks in a bucket.',
    flags: {
      ...selectorFlags,
      ...timeRangeFlags,
      ...timeoutFlags,
      output: flag.text({
        help: "What to print of each block: json, wide, or a template such as '{{.ULID}} {{.Stats.NumSeries}}'. Default: its ULID.",
        default: '',
        short: 'o',
      }),
      'exclude-delete': flag.toggle({
        help: 'Leave out blocks that are marked for deletion.',
        default: false,
      }),
    },
  },
  (values, tool) => {
    const selector = selectorOf(values);
    return listBlocks(
      {
        output: values.output,
        excludeDeleted: values['exclude-delete'],
        minTime: values['min-time'],
        maxTime: values['max-time'],
        timeoutMs: values.timeout,
        ...(selector === undefined ? {} : { selector }),
      },
      tool,
    );
  },
);
