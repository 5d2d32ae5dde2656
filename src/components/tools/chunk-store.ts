import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { shardFilter } from '#/storeapi/shard.ts';
import type {
  LabelNamesRequest,
  LabelValuesRequest,
  SeriesBatch,
  SeriesRequest,
  Store,
  StoreContext,
  StoreInfo,
  StoreNames,
  StoreSeries,
} from '#/storeapi/store.ts';
import { toWireChunks } from '#/tsdb/chunk-encoder.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';

/** One series of a `ChunkStore`: chunks of any encoding, in time order. */
export interface ChunkedSeries {
  readonly labels: Labels;
  readonly chunks: readonly TimedChunk[];
}

/** A store over chunks in memory, without external labels. */
export class ChunkStore implements Store {
  readonly #series: readonly ChunkedSeries[];

  constructor(series: readonly ChunkedSeries[]) {
    this.#series = series.toSorted((a, b) => compareLabels(a.labels, b.labels));
  }

  info(): StoreInfo {
    return {
      labelSets: [],
      mint: MIN_TIME,
      maxt: MAX_TIME,
      tsdbInfos: [],
      supportsSharding: true,
      supportsWithoutReplicaLabels: false,
    };
  }

  async *series(request: SeriesRequest, context: StoreContext): AsyncGenerator<SeriesBatch, void> {
    const belongs = shardFilter(request.shard);
    const found = this.#matching(request).filter(({ labels }) => belongs(labels));
    const wanted = request.limit > 0 ? found.slice(0, request.limit) : found;
    const toWire = context.startTimes === true ? keep : toWireChunks;
    yield { series: wanted.map((one) => toStoreSeries(one, request, toWire)), warnings: [] };
  }

  labelNames(request: LabelNamesRequest): Promise<StoreNames> {
    const found = this.#matching(request);
    return sortedNames(
      found.flatMap(({ labels }) => Array.from(labels, ({ name }) => name)),
      request,
    );
  }

  labelValues(request: LabelValuesRequest): Promise<StoreNames> {
    const values = this.#matching(request).map(({ labels }) => labels.get(request.label));
    return sortedNames(
      values.filter((value) => value !== ''),
      request,
    );
  }

  #matching({ matchers, mint, maxt }: LabelNamesRequest | SeriesRequest): ChunkedSeries[] {
    return this.#series.flatMap(({ labels, chunks }) => {
      if (!matchesAll(matchers, labels)) return [];
      const within = chunks.filter((chunk) => chunk.mint <= maxt && chunk.maxt >= mint);
      return within.length === 0 ? [] : [{ labels, chunks: within }];
    });
  }
}

function keep(chunk: TimedChunk): TimedChunk[] {
  return [chunk];
}

function toStoreSeries(
  { labels, chunks }: ChunkedSeries,
  { skipChunks }: SeriesRequest,
  toWire: (chunk: TimedChunk) => TimedChunk[],
): StoreSeries {
  if (skipChunks) return { labels, chunks: [] };
  const wire = chunks.flatMap(toWire);
  return { labels, chunks: wire.map(({ mint, maxt, ...raw }) => ({ mint, maxt, raw })) };
}

function sortedNames(names: readonly string[], { limit }: LabelNamesRequest): Promise<StoreNames> {
  const sorted = [...new Set(names)].sort(compareUtf8);
  return Promise.resolve({ names: limit > 0 ? sorted.slice(0, limit) : sorted, warnings: [] });
}
