import { resolve } from 'node:path';
import { importBlocks, TEXT_PIECE_BYTES as PIECE_BYTES } from '#/components/tools-bucket.ts';
import type { BucketTool, ImportConfig, OpenMetricsText } from '#/components/tools-bucket.ts';
import { COMPACTION_RANGES } from '#/compact/planner.ts';
import { BadInputError } from '#/lib/errors.ts';
import { flag } from '../../flags.ts';
import type { FlagValues } from '../../flags.ts';
import { atLeastOne } from '../compact-flags.ts';
import { parseLabelFlags } from '../label-flags.ts';
import { bucketToolCommand } from './bucket-tool.ts';

const flags = {
  openmetrics: flag.text({
    help: 'A file of OpenMetrics text, every sample with a timestamp; - for standard input.',
    default: '',
  }),
  'tsdb.path': flag.text({
    help: 'Instead of a text: the data directory of a Prometheus, whose blocks are imported.',
    default: '',
  }),
  'tsdb.snapshot': flag.text({
    help: 'With --tsdb.path: the blocks of this snapshot in it, too.',
    default: '',
  }),
  label: flag.list({
    help: 'An external label that the blocks get: name="value". At least one, unless the blocks have some.',
    placeholder: 'LABEL',
  }),
  'max-block-duration': flag.duration({
    help: 'How much time a block made of text may span: 2h, 8h, 2d or 14d.',
    default: '2h',
  }),
  'allow-overlap': flag.toggle({
    help: 'Import although blocks with the same labels are there for the same time.',
    default: false,
  }),
  'dry-run': flag.toggle({
    help: 'Read and check everything, print what would be uploaded, and upload nothing.',
    default: false,
  }),
  'data-dir': flag.text({
    help: 'Where blocks are made of text: room for its samples twice, compressed. For one import at a time.',
    default: './data',
  }),
  'upload-concurrency': flag.integer({
    help: 'Files of a block to upload at once.',
    default: '5',
  }),
  'hash-func': flag.oneOf(['', 'SHA256'], {
    help: 'Hash of every file to write into meta.json.',
    default: '',
  }),
};
type Values = FlagValues<typeof flags>;

export const bucketImportCommand = bucketToolCommand(
  {
    name: 'import',
    summary: 'Imports samples from OpenMetrics text, or the blocks of a Prometheus.',
    flags,
  },
  (values, tool) =>
    importBlocks(
      {
        from: sourceOf(values),
        labels: parseLabelFlags('--label', values.label),
        dataDirectory: resolve(values['data-dir']),
        allowOverlap: values['allow-overlap'],
        dryRun: values['dry-run'],
        hashFunction: values['hash-func'],
        concurrency: atLeastOne(values, 'upload-concurrency'),
      },
      tool,
    ),
);

async function openText(path: string, { disk }: BucketTool): Promise<OpenMetricsText> {
  if (path === '-') {
    return { name: 'standard input', sizeBytes: undefined, pieces: inPieces(process.stdin) };
  }
  const file = resolve(path);
  const stat = await disk.stat(file);
  if (stat?.kind !== 'file') throw new BadInputError(`--openmetrics: no file ${file}`);
  return { name: path, sizeBytes: stat.sizeBytes, pieces: filePieces(file, disk) };
}

async function* filePieces(path: string, disk: BucketTool['disk']): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; offset += PIECE_BYTES) {
    const piece = await disk.readRange(path, offset, PIECE_BYTES);
    yield piece;
    if (piece.length < PIECE_BYTES) return;
  }
}

async function* inPieces(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const bytes of stream) {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      yield bytes.subarray(at, at + PIECE_BYTES);
    }
  }
}

function sourceOf(values: Values): ImportConfig['from'] {
  const { openmetrics, 'tsdb.path': path, 'tsdb.snapshot': snapshot } = values;
  if ((openmetrics === '') === (path === '')) {
    throw new BadInputError(
      'expected either --openmetrics or --tsdb.path: what is to be imported?',
    );
  }
  if (path !== '') {
    return {
      kind: 'prometheus',
      path: resolve(path),
      snapshot: snapshot === '' ? undefined : snapshot,
    };
  }
  if (snapshot !== '') throw new BadInputError('--tsdb.snapshot: needs --tsdb.path');
  const windowMs = windowOf(values['max-block-duration']);
  return { kind: 'openmetrics', windowMs, open: (tool) => openText(openmetrics, tool) };
}

/** The ranges into which compactors put blocks together; anything else would stay as it is for ever. */
const WINDOWS = COMPACTION_RANGES.slice(1);

/** The largest range that is not larger; 2 h for anything less. */
function windowOf(durationMs: number): number {
  return WINDOWS.findLast((range) => range <= durationMs) ?? WINDOWS[0]!;
}
