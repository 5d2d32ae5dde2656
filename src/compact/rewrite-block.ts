import { anyChunkSampleCount } from '#/downsample/aggregate-chunk.ts';
import { withoutWindows } from '#/downsample/delete-windows.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { Labels } from '#/model/labels.ts';
import type { Relabeling } from '#/model/relabel.ts';
import type { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BlockWriter } from '#/tsdb/block-writer.ts';
import type { BlockIdentity } from '#/tsdb/block-writer.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { deletedRanges } from '#/tsdb/series-deletion.ts';
import type { SeriesDeletion } from '#/tsdb/series-deletion.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { joinIntervals } from '#/tsdb/tombstones.ts';
import type { Interval } from '#/tsdb/tombstones.ts';
import { SeriesMerger } from './merge-series.ts';
import type { SeriesPart } from './merge-series.ts';
import { RelabeledSeries } from './relabeled-series.ts';
import { compileEdits } from './series-edits.ts';
import type { SeriesEdits } from './series-edits.ts';

export interface RewriteRequest {
  readonly block: Block;
  readonly edits: SeriesEdits;
  /** Of the block to be; `undefined` to find out what would change, and to write nothing. */
  readonly identity: BlockIdentity | undefined;
  readonly disk: Disk;
  /** Where the directory of the new block goes. */
  readonly directory: string;
  readonly changes?: ChangeLog;
  readonly signal?: AbortSignal;
  /** Told now and then how many series are done. */
  readonly onProgress?: (series: number) => void;
}

/** Told what happens to series, in their order. */
export interface ChangeLog {
  deleted(labels: Labels, ranges: readonly Interval[]): void;
  relabeled(from: Labels, to: Labels): void;
}

export interface RewriteResult {
  /** `unchanged` and `empty`, when nothing is left, mean that no block was written. */
  readonly kind: 'unchanged' | 'empty' | 'rewritten';
  /** With `rewritten`, unless nothing was to be written. */
  readonly meta: BlockMeta | undefined;
  readonly seriesRead: number;
  /** Series with none of their samples left; those that became one with others are not among them. */
  readonly seriesDropped: number;
  readonly samplesRead: number;
  readonly samplesDropped: number;
}

/**
 * Makes one block of another with its series relabeled and samples deleted. Chunks that nothing is
 * deleted from stay as they are, byte for byte; series that come to have the same labels are merged as
 * in a compaction. Texts that no series has any more are gone from the symbols. Samples that the
 * block's own tombstones delete are left out too, but alone are no change. What goes of
 * downsampled chunks: `isWindowDeleted`.
 * @throws CorruptionError if the block is damaged, BadInputError if downsampled series that overlap would become one.
 */
export async function rewriteBlock(request: RewriteRequest): Promise<RewriteResult> {
  const { relabeling, deletions } = compileEdits(request.edits);
  const rewriting = new Rewriting(request, deletions);
  return relabeling === undefined ? rewriting.delete() : rewriting.relabel(relabeling);
}

class Rewriting {
  readonly #request: RewriteRequest;
  readonly #deletions: readonly SeriesDeletion[];
  readonly #merger = new SeriesMerger('chain');
  readonly #resolutionMs: number;
  #writer: BlockWriter | undefined;
  #seriesRead = 0;
  #seriesDropped = 0;
  #seriesWritten = 0;
  #samplesRead = 0;
  #samplesWritten = 0;
  #isChanged = false;
  #done = 0;

  constructor(request: RewriteRequest, deletions: readonly SeriesDeletion[]) {
    this.#request = request;
    this.#deletions = deletions;
    this.#resolutionMs = request.block.meta.thanos?.downsample.resolution ?? 0;
  }

  /** A look at the index says whether chunks have to be read, and which symbols stay. */
  async delete(): Promise<RewriteResult> {
    const { block, identity, changes, signal } = this.#request;
    const { touched, left, symbols } = await this.#survey();
    if (touched === 0) return this.#result('unchanged');
    if (left === 0 && changes === undefined && identity !== undefined) {
      const { numSeries, numSamples } = block.meta.stats;
      return {
        ...this.#result('empty'),
        seriesRead: numSeries,
        seriesDropped: numSeries,
        samplesRead: numSamples,
        samplesDropped: numSamples,
      };
    }
    return this.#write(symbols, async () => {
      for await (const batch of streamSeries(block, signal)) {
        for (const { labels, chunks, deleted } of batch) {
          await this.#add(labels, [{ chunks, deleted }]);
        }
        this.#progress(batch.length);
      }
    });
  }

  async relabel(relabeling: Relabeling): Promise<RewriteResult> {
    const { block, changes, signal } = this.#request;
    const relabeled = await RelabeledSeries.read(
      block,
      relabeling,
      {
        dropped: ({ labels, chunks }) => {
          this.#isChanged = true;
          this.#seriesDropped++;
          this.#seriesRead++;
          const first = chunks[0];
          const whole = { mint: first?.mint ?? 0, maxt: chunks.at(-1)?.maxt ?? 0 };
          changes?.deleted(labels, first === undefined ? [] : [whole]);
        },
        changed: (from, to) => {
          this.#isChanged = true;
          changes?.relabeled(from, to);
        },
      },
      signal,
    );
    return this.#write(relabeled.symbols, async () => {
      for await (const batch of relabeled.batches(signal)) {
        const all = await block.readChunks(
          batch.flatMap(({ series }) => series.flatMap(({ chunks }) => chunks)),
          signal,
        );
        let next = 0;
        for (const { labels, series } of batch) {
          const parts = series.map(({ chunks, deleted }) => ({
            chunks: all.slice(next, (next += chunks.length)),
            deleted,
          }));
          await this.#add(labels, parts);
        }
        this.#progress(batch.reduce((sum, { series }) => sum + series.length, 0));
      }
    });
  }

  /** Goes through the index alone: how many series lose samples, how many have some left, their texts. */
  async #survey() {
    const { block, signal } = this.#request;
    const texts = new Set<string>();
    let touched = 0;
    let left = 0;
    for await (const batch of block.seriesBatches(signal)) {
      for (const { labels, chunks } of batch) {
        const deleted = deletedRanges(labels, this.#deletions);
        if (chunks.some((chunk) => touches(deleted, chunk))) touched++;
        if (chunks.every((chunk) => isWithin(this.#timeOf(chunk), deleted))) continue;
        left++;
        for (const text of labels.flat) texts.add(text);
      }
    }
    return { touched, left, symbols: [...texts].sort(compareUtf8) };
  }

  /** Of a downsampled chunk from where its first window begins. */
  #timeOf({ mint, maxt }: Interval): Interval {
    const step = this.#resolutionMs;
    return step === 0 ? { mint, maxt } : { mint: Math.floor(mint / step) * step, maxt };
  }

  async #write(symbols: Iterable<string>, addAll: () => Promise<void>): Promise<RewriteResult> {
    const { identity, disk, directory } = this.#request;
    if (identity === undefined) {
      await addAll();
      return this.#result();
    }
    await using writer = await BlockWriter.open(identity, {
      disk,
      directory,
      symbols,
      sampleCount: anyChunkSampleCount,
    });
    this.#writer = writer;
    await addAll();
    const result = this.#result();
    return result.kind === 'rewritten' ? { ...result, meta: await writer.finish() } : result;
  }

  /** Writes what is left of one series to be. */
  async #add(labels: Labels, parts: readonly SeriesPart[]): Promise<void> {
    const deleted = deletedRanges(labels, this.#deletions);
    this.#seriesRead += parts.length;
    for (const { chunks } of parts) this.#samplesRead += countOf(chunks);
    const chunks = parts.flatMap((part) => part.chunks);
    const gone = goneOf(chunks, deleted);
    const left = this.#cut(labels, parts, deleted);
    if (gone.length > 0 && countOf(left) < countOf(chunks)) {
      this.#isChanged = true;
      this.#request.changes?.deleted(labels, gone);
    }
    if (left.length === 0) {
      this.#seriesDropped += parts.length;
      return;
    }
    this.#seriesWritten++;
    this.#samplesWritten += countOf(left);
    await this.#writer?.addSeries(labels, left);
  }

  #cut(
    labels: Labels,
    parts: readonly SeriesPart[],
    deleted: readonly Interval[],
  ): readonly TimedChunk[] {
    this.#merger.startSeries();
    const cut = parts.map((part): SeriesPart => {
      const all =
        deleted.length === 0 ? part.deleted : joinIntervals([...part.deleted, ...deleted]);
      if (!part.chunks.some(isAggregate)) return { chunks: part.chunks, deleted: all };
      // Some blocks of the past hold chunks among them that were not downsampled.
      const chunks = part.chunks.flatMap((chunk) =>
        isAggregate(chunk)
          ? (withoutWindows(chunk, all, this.#resolutionMs) ?? [])
          : this.#merger.merge([{ chunks: [chunk], deleted: all }]),
      );
      return { chunks, deleted: [] };
    });
    if (cut.length > 1 && cut.some(({ chunks }) => chunks.some(isAggregate))) {
      checkApart(labels, cut);
    }
    return this.#merger.merge(cut);
  }

  #progress(series: number): void {
    this.#done += series;
    this.#request.onProgress?.(this.#done);
  }

  #result(kind?: 'unchanged' | 'empty'): RewriteResult {
    const found = this.#isChanged
      ? this.#seriesWritten === 0
        ? 'empty'
        : 'rewritten'
      : 'unchanged';
    return {
      kind: kind ?? found,
      meta: undefined,
      seriesRead: this.#seriesRead,
      seriesDropped: this.#seriesDropped,
      samplesRead: this.#samplesRead,
      samplesDropped: this.#samplesRead - this.#samplesWritten,
    };
  }
}

function countOf(chunks: readonly TimedChunk[]): number {
  return chunks.reduce((sum, chunk) => sum + anyChunkSampleCount(chunk), 0);
}

function isAggregate({ encoding }: TimedChunk): boolean {
  return encoding === ChunkEncoding.Aggregate;
}

function touches(deleted: readonly Interval[], { mint, maxt }: Interval): boolean {
  return deleted.some((range) => range.mint <= maxt && range.maxt >= mint);
}

function isWithin({ mint, maxt }: Interval, deleted: readonly Interval[]): boolean {
  return deleted.some((range) => range.mint <= mint && range.maxt >= maxt);
}

/** The deleted ranges as far as there are chunks; a series that goes as a whole counts as one. */
function goneOf(chunks: readonly TimedChunk[], deleted: readonly Interval[]): readonly Interval[] {
  const isAll = deleted.some(({ mint, maxt }) => mint === -Infinity && maxt === Infinity);
  if (isAll && chunks.length > 0) {
    const mint = chunks.reduce((least, chunk) => Math.min(least, chunk.mint), Infinity);
    const maxt = chunks.reduce((most, chunk) => Math.max(most, chunk.maxt), -Infinity);
    return [{ mint, maxt }];
  }
  const overlaps = chunks.flatMap((chunk) =>
    deleted
      .filter((range) => range.mint <= chunk.maxt && range.maxt >= chunk.mint)
      .map((range) => ({
        mint: Math.max(range.mint, chunk.mint),
        maxt: Math.min(range.maxt, chunk.maxt),
      })),
  );
  return joinIntervals(overlaps);
}

/** Windows of several downsampled chunks cannot be made one. */
function checkApart(labels: Labels, parts: readonly SeriesPart[]): void {
  const chunks = parts.flatMap((part) => part.chunks).sort((a, b) => a.mint - b.mint);
  for (let i = 1; i < chunks.length; i++) {
    if (chunks[i]!.mint > chunks[i - 1]!.maxt) continue;
    throw new BadInputError(
      `relabeling makes one series ${labels.toString()} of several that overlap at ${chunks[i]!.mint}, and ` +
        'downsampled series cannot be merged; rewrite the raw block and downsample it anew',
    );
  }
}
