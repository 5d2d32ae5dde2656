import { analyzeBlocks, tableFormats } from '#/components/tools-bucket.ts';
import { flag } from '../../flags.ts';
import { bucketToolCommand, parseIds, timeRangeFlags } from './bucket-tool.ts';

export const bucketAnalyzeCommand = bucketToolCommand(
  {
    name: 'analyze',
    summary: 'Tells which metrics take most bytes, and which labels have most values.',
    flags: {
      ...timeRangeFlags,
      id: flag.list({ help: 'Look at this block only.', placeholder: 'ULID' }),
      limit: flag.integer({ help: 'How many metrics and labels to show.', default: '20' }),
      output: flag.oneOf(tableFormats, { help: 'How the tables are written.', default: 'table' }),
    },
  },
  (values, tool) =>
    analyzeBlocks(
      {
        ids: parseIds(values.id),
        minTime: values['min-time'],
        maxTime: values['max-time'],
        limit: values.limit,
        output: values.output,
      },
      tool,
    ),
);
