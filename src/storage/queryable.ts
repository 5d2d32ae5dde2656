import type { ByteReader } from '#/lib/byte-reader.ts';
import type { ByteWriter } from '#/lib/byte-writer.ts';
import type { MemoryBudget } from '#/lib/memory-budget.ts';
import type { Labels } from '#/model/labels.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { SampleBuffer } from './sample-buffer.ts';

/** What the engine knows about the use of a selector; a source may use it to read less. */
export interface SelectHints {
  /** Milliseconds between evaluations; 0 for an instant query. */
  readonly stepMs: number;
  /** Milliseconds of the range selector around the series; 0 for an instant selector. */
  readonly rangeMs: number;
  /** Of an instant selector: how long a sample stands for its series, where the query says so. */
  readonly lookbackMs?: number;
  /** The innermost function or aggregation over the selector; `''` when there is none. */
  readonly func: string;
  /** Grouping of the innermost aggregation, when that is what `func` names. */
  readonly grouping?: { readonly by: boolean; readonly labels: readonly string[] };
  /** Upper bound of series wanted; 0 for all. */
  readonly limit: number;
}

export interface SelectRequest {
  /** All must match. Never empty. */
  readonly matchers: readonly Matcher[];
  /** Closed range in milliseconds of the samples that can matter. */
  readonly mint: number;
  readonly maxt: number;
  readonly hints: SelectHints;
}

/** What travels with every call of one query. */
export interface QueryContext {
  /** Aborts when the client has gone, the time is up, or the query has failed elsewhere. */
  readonly signal: AbortSignal;
  /** Whoever buffers for this query reserves here. */
  readonly budget: MemoryBudget;
  /** Told what each source contributed, by whoever asks several; for `analyze`. */
  readonly onSource?: (report: SourceReport) => void;
}

/** What one source answered to a select. */
export interface SourceReport {
  readonly address: string;
  readonly durationMs: number;
  /** About the bytes it made the query hold. */
  readonly bytes: number;
  /** Frames, or whatever its answer came in. */
  readonly responses: number;
  readonly series: number;
  readonly chunks: number;
  readonly samples: number;
}

/** One series of a select's answer. Its bytes are in memory; reading is synchronous. */
export interface Series {
  readonly labels: Labels;
  /**
   * Appends the samples of `[mint, maxt]` to `into`, which the caller owns: in time order, one a
   * timestamp, stale markers included.
   * @throws CorruptionError if a chunk is damaged.
   */
  read(mint: number, maxt: number, into: SampleBuffer): void;
  /** The series as bytes, to be read on another thread; absent if it has no such form. */
  readonly portable?: PortableSeries;
}

/** What a `SeriesOpener` elsewhere needs to read a series with the same result. */
export interface PortableSeries {
  /** The same object for all series of a select. */
  readonly reading: SeriesReading;
  /** About how many bytes `write` writes. */
  readonly sizeBytes: number;
  write(into: ByteWriter): void;
  /**
   * What this series' `read` would have done about damage that was found elsewhere.
   * @throws CorruptionError if that was to throw.
   */
  onDamage(message: string): void;
}

/** How the series of a select are read: plain data. `kind` tells whose it is. */
export interface SeriesReading {
  readonly kind: string;
}

/** Makes series of what `PortableSeries.write` wrote, one after the other. */
export type SeriesOpener = (
  reading: SeriesReading,
  context: {
    readonly budget: MemoryBudget;
    /** Told of what cannot be read and is left out. */
    readonly onDamage: (message: string) => void;
  },
) => (labels: Labels, bytes: ByteReader) => Series;

/** The answer of a select. */
export interface SeriesSet {
  /** Sorted by labels, without duplicates. */
  readonly series: readonly Series[];
  /** What is missing from the answer and why, as texts for the user. Empty when it is complete. */
  readonly warnings: readonly string[];
  /** What is worth knowing about a complete answer, as texts for the user. */
  readonly infos?: readonly string[];
}

export interface NamesResult {
  /** Sorted, without duplicates. */
  readonly names: readonly string[];
  readonly warnings: readonly string[];
}

/** A range of time and matchers for label look-ups; no matchers means every series. */
export interface LabelsRequest {
  readonly matchers: readonly Matcher[];
  readonly mint: number;
  readonly maxt: number;
  /** Upper bound of names wanted; 0 for all. */
  readonly limit: number;
}

/** Where PromQL gets its series from: a set of stores, a block, a test's samples. */
export interface Queryable {
  select(request: SelectRequest, context: QueryContext): Promise<SeriesSet>;
  labelNames(request: LabelsRequest, context: QueryContext): Promise<NamesResult>;
  labelValues(name: string, request: LabelsRequest, context: QueryContext): Promise<NamesResult>;
}
