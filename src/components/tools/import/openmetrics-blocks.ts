import { join } from 'node:path';
import { writeLocalMeta } from '#/blocks/block-files.ts';
import { contentUlid, newUlid, ulidEntropy } from '#/lib/ulid.ts';
import type { Labels } from '#/model/labels.ts';
import { OpenMetricsParser } from '#/model/openmetrics.ts';
import type { BucketTool } from '../bucket-tool.ts';
import { buildBlock } from './build-blocks.ts';
import type { BuiltBlock } from './build-blocks.ts';
import type { ImportBlock } from './place-blocks.ts';
import { SampleRun } from './sample-run.ts';
import { SampleTable } from './sample-table.ts';

/** The most of a text that is read at once. */
export const TEXT_PIECE_BYTES = 256 * 1024;

/** A text to import: read once, from front to back, in pieces of at most `TEXT_PIECE_BYTES`. */
export interface OpenMetricsText {
  /** Names it in errors. */
  readonly name: string;
  /** `undefined` where that is not known, as of standard input. */
  readonly sizeBytes: number | undefined;
  readonly pieces: AsyncIterable<Uint8Array>;
}

export interface TextOptions {
  readonly labels: Labels;
  /** Of the blocks to make. */
  readonly windowMs: number;
  /** Where they are made. */
  readonly directory: string;
  /** Samples that are in memory at once; by default so many that they take 25 MB. */
  readonly maxSamples?: number | undefined;
}

/** Of progress on the text. */
const STEP_BYTES = 64 * 1024 * 1024;

/**
 * Writes the blocks of a text to `directory`, one for each aligned window of time that has samples.
 *
 * The text may be larger than memory, and have its samples in any order: what fits is sorted and
 * written to a file, again and again, and each window's block is merged from all files. Memory follows
 * neither the text nor the number of samples, but the series of the largest block; the disk holds
 * the samples twice, compressed.
 *
 * The same text, labels and windows give the same bytes, by which the blocks are named.
 * @throws BadInputError with file, line and column.
 */
export async function writeOpenMetricsBlocks(
  text: OpenMetricsText,
  options: TextOptions,
  tool: BucketTool,
): Promise<ImportBlock[]> {
  const { disk, clock, random, signal } = tool;
  const { labels, windowMs, directory } = options;
  const runs = await sortedRuns(text, options, tool);
  const windows = [...new Set(runs.flatMap((run) => [...run.windows]))].sort((a, b) => a - b);
  const progress = tool.progress('building', windows.length);
  const blocks: ImportBlock[] = [];
  for (const window of windows) {
    const built = await buildBlock({
      runs,
      window,
      labels,
      disk,
      directory,
      ulid: newUlid(clock.now(), random),
      signal,
    });
    blocks.push(importBlock(built, directory, tool));
    progress.step(new Date(window * windowMs).toISOString());
  }
  progress.end();
  return blocks;
}

function importBlock(
  { meta, digest }: BuiltBlock,
  directory: string,
  { disk, clock }: BucketTool,
): ImportBlock {
  const fresh = contentUlid(clock.now(), digest);
  return {
    meta,
    identity: ulidEntropy(fresh),
    async named(known) {
      const ulid = known ?? fresh;
      const into = join(directory, ulid);
      await disk.rename(join(directory, meta.ulid), into);
      const compaction = { ...meta.compaction, sources: [ulid] };
      const renamed = { ...meta, ulid, compaction };
      await writeLocalMeta(disk, into, renamed);
      return { directory: into, meta: renamed };
    },
  };
}

async function sortedRuns(
  text: OpenMetricsText,
  options: TextOptions,
  { disk, log, signal, progress: start }: BucketTool,
): Promise<SampleRun[]> {
  const { windowMs, directory, maxSamples } = options;
  const table = new SampleTable({
    source: text.name,
    externalLabels: options.labels,
    windowMs,
    maxSamples,
  });
  const parser = new OpenMetricsParser(text.name, table);
  const runs: SampleRun[] = [];
  const flush = async () => {
    if (table.length === 0) return;
    const path = join(directory, `run-${runs.length}`);
    runs.push(await SampleRun.write(disk, path, table.sorted(), signal));
    table.clear();
    parser.forgetSeries();
  };
  const steps = text.sizeBytes === undefined ? 0 : Math.ceil(text.sizeBytes / STEP_BYTES);
  const progress = start('reading', steps);
  let bytes = 0;
  for await (const piece of text.pieces) {
    signal.throwIfAborted();
    parser.feed(piece);
    if (table.isFull) await flush();
    const before = Math.floor(bytes / STEP_BYTES);
    bytes += piece.length;
    if (Math.floor(bytes / STEP_BYTES) > before && steps > 0)
      progress.step(`${parser.lines} lines`);
  }
  parser.end();
  await flush();
  if (Math.floor(bytes / STEP_BYTES) < steps) progress.step(`${parser.lines} lines`);
  progress.end();
  log.info('text read', { lines: parser.lines, bytes, runs: runs.length });
  return runs;
}
