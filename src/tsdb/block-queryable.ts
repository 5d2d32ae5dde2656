import type { ByteWriter } from '#/lib/byte-writer.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type {
  LabelsRequest,
  NamesResult,
  PortableSeries,
  Queryable,
  QueryContext,
  SelectRequest,
  Series,
  SeriesOpener,
  SeriesReading,
  SeriesSet,
} from '#/storage/queryable.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { Block, BlockSeries } from './block.ts';
import {
  readSourceChunks,
  sourceChunksSize,
  writeSourceChunks,
} from './block/source-chunk-bytes.ts';
import type { TimedChunk } from './chunk.ts';
import { mergeChunks } from './merge-chunks.ts';
import type { SourceChunk } from './merge-chunks.ts';

/**
 * One or several local blocks as a source of queries. Series with equal labels are one; where samples
 * share a timestamp, the earlier block in the list wins. Deleted samples are left out.
 */
export class BlockQueryable implements Queryable {
  readonly #blocks: readonly Block[];

  constructor(blocks: readonly Block[]) {
    this.#blocks = blocks;
  }

  async select(request: SelectRequest, context: QueryContext): Promise<SeriesSet> {
    const { matchers, mint, maxt, hints } = request;
    const merged = new Map<string, { labels: Labels; sources: SourceChunk[] }>();
    for (const block of this.#within(mint, maxt)) {
      context.signal.throwIfAborted();
      const found = await block.select(matchers, mint, maxt, context.signal);
      const chunks = await this.#read(block, found, context);
      for (const [i, { labels, deleted }] of found.entries()) {
        let series = merged.get(labels.key);
        if (series === undefined) merged.set(labels.key, (series = { labels, sources: [] }));
        for (const chunk of chunks[i]!) series.sources.push({ chunk, deleted });
      }
    }
    const series = [...merged.values()]
      .map(({ labels, sources }) => new ChunkSeries(labels, sources))
      .sort((a, b) => compareLabels(a.labels, b.labels));
    return { series: hints.limit > 0 ? series.slice(0, hints.limit) : series, warnings: [] };
  }

  async labelNames(request: LabelsRequest, context: QueryContext): Promise<NamesResult> {
    const names = new Set<string>();
    for (const block of this.#within(request.mint, request.maxt)) {
      if (request.matchers.length === 0) addAll(names, block.index.labelNames());
      else {
        for (const labels of await matchingLabels(block, request, context)) {
          for (const { name } of labels) names.add(name);
        }
      }
    }
    return limited(names, request.limit);
  }

  async labelValues(
    name: string,
    request: LabelsRequest,
    context: QueryContext,
  ): Promise<NamesResult> {
    const values = new Set<string>();
    for (const block of this.#within(request.mint, request.maxt)) {
      if (request.matchers.length === 0) addAll(values, block.index.labelValues(name));
      else {
        for (const labels of await matchingLabels(block, request, context)) {
          if (labels.has(name)) values.add(labels.get(name));
        }
      }
    }
    return limited(values, request.limit);
  }

  #within(mint: number, maxt: number): Block[] {
    return this.#blocks.filter(({ meta }) => meta.minTime <= maxt && mint < meta.maxTime);
  }

  /** The chunks of each found series; all of them in one go over the files. */
  async #read(
    block: Block,
    found: readonly BlockSeries[],
    context: QueryContext,
  ): Promise<TimedChunk[][]> {
    const all = await block.readChunks(
      found.flatMap(({ chunks }) => chunks),
      context.signal,
    );
    context.budget.reserve(all.reduce((sum, { data }) => sum + data.length, 0));
    let next = 0;
    return found.map(({ chunks }) => all.slice(next, (next += chunks.length)));
  }
}

/** All there is to know is in the bytes. */
const blockReading: SeriesReading = { kind: 'block' };

/** Opens the series of a `BlockQueryable` where they were sent. */
export const openBlockSeries: SeriesOpener = () => (labels, bytes) =>
  new ChunkSeries(labels, readSourceChunks(bytes));

class ChunkSeries implements Series, PortableSeries {
  readonly labels: Labels;
  readonly reading = blockReading;
  readonly #sources: readonly SourceChunk[];

  constructor(labels: Labels, sources: readonly SourceChunk[]) {
    this.labels = labels;
    this.#sources = sources;
  }

  read(mint: number, maxt: number, into: SampleBuffer): void {
    mergeChunks(this.#sources, { mint, maxt }, into);
  }

  get portable(): PortableSeries {
    return this;
  }

  get sizeBytes(): number {
    return sourceChunksSize(this.#sources);
  }

  write(into: ByteWriter): void {
    writeSourceChunks(this.#sources, into);
  }

  /** Damage is thrown, never left out. */
  onDamage(message: string): never {
    throw new CorruptionError(message);
  }
}

async function matchingLabels(
  block: Block,
  { matchers, mint, maxt }: LabelsRequest,
  { signal }: QueryContext,
): Promise<Labels[]> {
  return (await block.select(matchers, mint, maxt, signal)).map(({ labels }) => labels);
}

function addAll(set: Set<string>, texts: Iterable<string>): void {
  for (const text of texts) set.add(text);
}

function limited(names: ReadonlySet<string>, limit: number): NamesResult {
  const sorted = [...names].sort(compareUtf8);
  return { names: limit > 0 ? sorted.slice(0, limit) : sorted, warnings: [] };
}
