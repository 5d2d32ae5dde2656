import {
  cancelDeletions,
  deleteSeries,
  listDeletions,
  tableFormats,
} from '#/components/tools-bucket.ts';
import { BadInputError } from '#/lib/errors.ts';
import { flag } from '../../flags.ts';
import { bucketToolCommand } from './bucket-tool.ts';

const EARLIEST = '0000-01-01T00:00:00Z';

export const bucketDeleteSeriesCommand = bucketToolCommand(
  {
    name: 'delete-series',
    summary: 'Deletes series from a bucket, lists such deletions, or takes them back.',
    flags: {
      match: flag.list({
        help: 'Which series to delete: a selector as in PromQL, external labels included, as \'up{cluster="a"}\'.',
        placeholder: 'SELECTOR',
      }),
      'min-time': flag.time({
        help: 'From when on: RFC 3339, or a duration relative to now such as -2w.',
        default: EARLIEST,
      }),
      'max-time': flag.time({
        help: 'Until when, included: RFC 3339, or a duration relative to now such as -2h. Nothing later than now is deleted.',
        default: '9999-12-31T23:59:59Z',
      }),
      author: flag.text({ help: 'Who asks for it, for people.', default: '' }),
      reason: flag.text({ help: 'Why, for people.', default: '' }),
      'dry-run': flag.toggle({
        help: 'Only print what would be deleted of which blocks; --no-dry-run deletes it.',
        default: true,
      }),
      list: flag.toggle({
        help: 'List the deletions that are in force, and in how many blocks they are applied.',
        default: false,
      }),
      cancel: flag.list({
        help: 'Take back the deletion with this id. What was applied to blocks already stays gone.',
        placeholder: 'ID',
      }),
      output: flag.oneOf(tableFormats, { help: 'How tables are written.', default: 'table' }),
    },
  },
  (values, tool) => {
    const { match, cancel, output } = values;
    const wanted = [match.length > 0, values.list, cancel.length > 0].filter(Boolean).length;
    if (wanted !== 1) throw new BadInputError('give one of --match, --list and --cancel');
    if (values.list) return listDeletions(output, tool);
    if (cancel.length > 0) return cancelDeletions(cancel, tool);
    const nowMs = tool.clock.now();
    const mint = values['min-time'](nowMs);
    return deleteSeries(
      {
        selectors: match,
        mint: mint <= Date.parse(EARLIEST) ? undefined : mint,
        maxt: values['max-time'](nowMs),
        author: values.author,
        reason: values.reason,
        dryRun: values['dry-run'],
        output,
      },
      tool,
    );
  },
);
