import { inspectBlocks, inspectColumns, tableFormats } from '#/components/tools-bucket.ts';
import { BadInputError } from '#/lib/errors.ts';
import { nearest } from '#/lib/nearest.ts';
import { flag } from '../../flags.ts';
import { parseLabelFlags } from '../label-flags.ts';
import { bucketToolCommand, timeoutFlags } from './bucket-tool.ts';

export const bucketInspectCommand = bucketToolCommand(
  {
    name: 'inspect',
    summary: 'Prints a table of the blocks in a bucket.',
    flags: {
      ...timeoutFlags,
      selector: flag.list({
        help: 'An external label that blocks must have: name="value".',
        placeholder: 'LABEL',
        short: 'l',
      }),
      'sort-by': flag.list({
        help: `A column to sort by, the first one first: ${inspectColumns.join(', ')}.`,
        placeholder: 'COLUMN',
        default: ['FROM', 'UNTIL'],
      }),
      output: flag.oneOf(tableFormats, { help: 'How the table is written.', default: 'table' }),
    },
  },
  (values, tool) =>
    inspectBlocks(
      {
        selector: parseLabelFlags('--selector', values.selector),
        sortBy: values['sort-by'].map(parseColumn),
        output: values.output,
        timeoutMs: values.timeout,
      },
      tool,
    ),
);

function parseColumn(text: string) {
  const column = inspectColumns.find((name) => name === text);
  if (column !== undefined) return column;
  const near = nearest(text, inspectColumns);
  throw new BadInputError(
    `--sort-by: no column "${text}"; ${near === undefined ? `use one of ${inspectColumns.join(', ')}` : `did you mean ${near}?`}`,
  );
}
