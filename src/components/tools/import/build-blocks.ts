import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { emptyThanosMeta, hashOf, segmentFiles } from '#/blocks/block-files.ts';
import { completeBlock } from '#/compact/complete-block.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import { Heap } from '#/lib/heap.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { CHUNKS_DIRNAME, INDEX_FILENAME, ownSource } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BlockWriter } from '#/tsdb/block-writer.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { IMPORT_SOURCE } from './place-blocks.ts';
import { compareCursors } from './sample-run.ts';
import type { RunCursor, RunSeries, SampleRun } from './sample-run.ts';

export interface BuildRequest {
  readonly runs: readonly SampleRun[];
  readonly window: number;
  readonly labels: Labels;
  readonly disk: Disk;
  readonly directory: string;
  /** A name to work under. */
  readonly ulid: string;
  readonly signal: AbortSignal;
}

export interface BuiltBlock {
  readonly meta: BlockMeta;
  /** Equal exactly for blocks of the same labels and bytes. */
  readonly digest: Uint8Array;
}

/**
 * Writes the block of one window from all runs, which are read twice: for the texts of the labels, then
 * for the samples. Memory follows the texts, the number of series, and the runs.
 * @throws BadInputError if a series has two values at one time.
 */
export async function buildBlock(request: BuildRequest): Promise<BuiltBlock> {
  const { ulid, disk, directory, labels, signal } = request;
  const found = await survey(request);
  const identity = {
    ulid,
    minTime: found.mint,
    maxTime: found.maxt + 1,
    compaction: ownSource(ulid),
    thanos: { ...emptyThanosMeta, labels: labels.toObject(), source: IMPORT_SOURCE },
  };
  await using writer = await BlockWriter.open(identity, {
    disk,
    directory,
    symbols: [...found.symbols].sort(compareUtf8),
  });
  for await (const series of merged(request)) {
    await writer.addSeries(series[0]!.labels, joined(series));
  }
  await writer.finish();
  const path = join(directory, ulid);
  const meta = await completeBlock(disk, path, [], signal);
  return { meta, digest: await digestOf(disk, path, labels) };
}

async function survey({ runs, window, signal }: BuildRequest) {
  const symbols = new Set<string>();
  let mint = Number.POSITIVE_INFINITY;
  let maxt = Number.NEGATIVE_INFINITY;
  for (const run of runs) {
    for await (const { labels, chunks } of run.series(window)) {
      signal.throwIfAborted();
      for (const text of labels.flat) symbols.add(text);
      mint = Math.min(mint, chunks[0]!.mint);
      maxt = Math.max(maxt, chunks.at(-1)!.maxt);
    }
  }
  return { symbols, mint, maxt };
}

/** The series of all runs in the order of their labels, each with its part of every run. */
async function* merged({ runs, window, signal }: BuildRequest): AsyncGenerator<RunSeries[], void> {
  const heads = new Heap<RunCursor>(compareCursors);
  for (const [order, run] of runs.entries()) {
    const rest = run.series(window);
    const first = await rest.next();
    if (first.done !== true) heads.push({ order, rest, series: first.value });
  }
  let group: RunSeries[] = [];
  for (let head = heads.top; head !== undefined; head = heads.top) {
    signal.throwIfAborted();
    const { series } = head;
    if (group.length > 0 && compareLabels(group[0]!.labels, series.labels) !== 0) {
      yield group;
      group = [];
    }
    group.push(series);
    const next = await head.rest.next();
    if (next.done === true) heads.pop();
    else {
      head.series = next.value;
      heads.replaceTop(head);
    }
  }
  if (group.length > 0) yield group;
}

/** The chunks of one series, in order and apart: as they are where they do not overlap. */
function joined(parts: readonly RunSeries[]): readonly TimedChunk[] {
  if (parts.length === 1) return parts[0]!.chunks;
  const chunks = parts.flatMap((part) => part.chunks).sort((a, b) => a.mint - b.mint);
  const isApart = chunks.every((chunk, i) => i === 0 || chunk.mint > chunks[i - 1]!.maxt);
  return isApart ? chunks : encodeSamples(mergedSamples(parts[0]!.labels, chunks));
}

function mergedSamples(labels: Labels, chunks: readonly TimedChunk[]): SampleBuffer {
  const all = new SampleBuffer();
  for (const chunk of chunks) decodeChunk(chunk, -Infinity, Infinity, all);
  const order = Array.from({ length: all.length }, (_, i) => i);
  order.sort((a, b) => all.times[a]! - all.times[b]! || a - b);
  const sorted = new SampleBuffer(all.length);
  for (const [i, place] of order.entries()) {
    const before = order[i - 1];
    if (before === undefined || all.times[before] !== all.times[place]) {
      sorted.pushFrom(all, place);
      continue;
    }
    const [first, second] = [all.values[before]!, all.values[place]!];
    if (Object.is(first, second)) continue;
    throw new BadInputError(
      `series ${labels.toMetricString()} has two values at ${all.times[place]! / 1000}: ${first} and ${second}`,
    );
  }
  return sorted;
}

async function digestOf(disk: Disk, path: string, labels: Labels): Promise<Uint8Array> {
  const hash = createHash('sha256').update(labels.key);
  const segments = await segmentFiles(disk, path);
  for (const file of [...segments.map((name) => `${CHUNKS_DIRNAME}/${name}`), INDEX_FILENAME]) {
    hash.update(`\n${file} ${await hashOf(disk, join(path, file), 'sha256')}`);
  }
  return hash.digest();
}
