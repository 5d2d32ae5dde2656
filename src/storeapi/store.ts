import type { Labels } from '#/model/labels.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { StoreStats } from './store-stats.ts';

/** Aggregates of downsampled chunks, by their names on the wire. */
export const Aggregates = ['raw', 'count', 'sum', 'min', 'max', 'counter'] as const;
export type Aggregate = (typeof Aggregates)[number];

/** The bytes of one chunk, without length, encoding byte and checksum. */
export interface EncodedChunk {
  /** The encoding byte of Prometheus's chunk files (tsdb/chunk.ts). The wire's numbers stay in the codec. */
  readonly encoding: number;
  readonly data: Uint8Array;
}

/** What covers `[mint, maxt]` of a series: the raw chunk, or any of its aggregates. */
export interface AggregateChunk {
  readonly mint: number;
  readonly maxt: number;
  readonly raw?: EncodedChunk;
  readonly count?: EncodedChunk;
  readonly sum?: EncodedChunk;
  readonly min?: EncodedChunk;
  readonly max?: EncodedChunk;
  readonly counter?: EncodedChunk;
}

export interface StoreSeries {
  readonly labels: Labels;
  /** In time order, as (mint, maxt); they may overlap, and may reach beyond the asked range. */
  readonly chunks: readonly AggregateChunk[];
}

export const PartialResponse = { Warn: 'WARN', Abort: 'ABORT' } as const;
export type PartialResponse = (typeof PartialResponse)[keyof typeof PartialResponse];

/** Keeps a series iff its hash over the chosen labels, mod `totalShards`, is `shardIndex`. */
export interface ShardInfo {
  readonly shardIndex: number;
  readonly totalShards: number;
  readonly by: boolean;
  readonly labels: readonly string[];
}

export interface SeriesRequest {
  /** Closed range in milliseconds. Whole chunks are answered, so samples outside must be expected. */
  readonly mint: number;
  readonly maxt: number;
  readonly matchers: readonly Matcher[];
  /** Coarsest resolution allowed, in milliseconds; 0 for raw data only. */
  readonly maxResolutionMs: number;
  readonly aggregates: readonly Aggregate[];
  readonly skipChunks: boolean;
  readonly partialResponse: PartialResponse;
  readonly withoutReplicaLabels: readonly string[];
  /** 0 for all. */
  readonly limit: number;
  readonly shard?: ShardInfo;
  /** Series the caller likes to have in one frame; 0 or 1 for one by one. */
  readonly batchSize: number;
  /** Restricts a store gateway to blocks whose `__block_id` and external labels match. */
  readonly blockMatchers?: readonly Matcher[];
  /** Whether the answer should end with what it took of object storage. Default false. */
  readonly wantsStats?: boolean;
}

/** A piece of a Series answer: some series in label order, or warnings, or both. */
export interface SeriesBatch {
  /** Only if they were asked for, and of stores that have them. */
  readonly stats?: StoreStats;
  readonly series: readonly StoreSeries[];
  readonly warnings: readonly string[];
}

export interface LabelNamesRequest {
  readonly mint: number;
  readonly maxt: number;
  readonly matchers: readonly Matcher[];
  readonly partialResponse: PartialResponse;
  readonly withoutReplicaLabels: readonly string[];
  readonly limit: number;
  readonly blockMatchers?: readonly Matcher[];
}

export interface LabelValuesRequest extends LabelNamesRequest {
  readonly label: string;
}

export interface StoreNames {
  /** Sorted, without duplicates. */
  readonly names: readonly string[];
  readonly warnings: readonly string[];
  /** Blocks that were asked, where the store is a gateway. */
  readonly queriedBlocks?: readonly string[];
}

/** What one TSDB behind a store covers; for distributed queries. */
export interface TsdbInfo {
  readonly labels: Labels;
  readonly mint: number;
  readonly maxt: number;
}

/** What a store tells about itself. */
export interface StoreInfo {
  /** External label sets of everything behind the store. */
  readonly labelSets: readonly Labels[];
  readonly mint: number;
  readonly maxt: number;
  readonly tsdbInfos: readonly TsdbInfo[];
  readonly supportsSharding: boolean;
  readonly supportsWithoutReplicaLabels: boolean;
}

/** What travels with a call besides its request. */
export interface StoreContext {
  readonly signal: AbortSignal;
  readonly tenant: string;
  readonly requestId?: string;
  /**
   * The caller also reads chunks with start timestamps (encodings 4, 5, 6), which Thanos has no names
   * for. A store may send them then; without this it must write them anew.
   */
  readonly startTimes?: boolean;
}

/**
 * Where series come from: the StoreAPI of Thanos as an interface. The gRPC service serves any
 * `Store`, the gRPC client is one, and so is the proxy over many.
 *
 * Every store honours the semantics of the API: series sorted by their labels *after* external
 * labels were added and replica labels removed; matchers on external labels evaluated and removed;
 * the shard filter and the limit applied. Failures are thrown (see lib/errors.ts); what is missing
 * from an answer under `PartialResponse.Warn` is a warning.
 */
export interface Store {
  info(): StoreInfo;
  series(request: SeriesRequest, context: StoreContext): AsyncIterable<SeriesBatch>;
  labelNames(request: LabelNamesRequest, context: StoreContext): Promise<StoreNames>;
  labelValues(request: LabelValuesRequest, context: StoreContext): Promise<StoreNames>;
}
