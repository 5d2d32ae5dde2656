import { markBlocks, markKinds } from '#/components/tools-bucket.ts';
import { BadInputError } from '#/lib/errors.ts';
import { flag } from '../../flags.ts';
import { bucketToolCommand, parseIds } from './bucket-tool.ts';

const markers = Object.keys(markKinds).join(', ');

export const bucketMarkCommand = bucketToolCommand(
  {
    name: 'mark',
    summary: 'Marks blocks for deletion, or against compaction or downsampling.',
    flags: {
      id: flag.list({ help: 'A block to mark.', placeholder: 'ULID' }),
      marker: flag.text({ help: `The mark: ${markers}.`, default: '' }),
      details: flag.text({ help: 'Why, for people to read.', default: '' }),
      remove: flag.toggle({ help: 'Remove the mark instead.', default: false }),
    },
  },
  (values, tool) => {
    const kind = Object.hasOwn(markKinds, values.marker) ? markKinds[values.marker] : undefined;
    if (kind === undefined) {
      throw new BadInputError(`--marker: must be one of ${markers}, got "${values.marker}"`);
    }
    const { details, remove } = values;
    return markBlocks({ ids: parseIds(values.id), kind, details, remove }, tool);
  },
);
