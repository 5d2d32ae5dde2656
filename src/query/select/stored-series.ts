import { mergeReplicas, readsAsCounter } from '#/dedup/dedup.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import type { ByteWriter } from '#/lib/byte-writer.ts';
import type { MemoryBudget } from '#/lib/memory-budget.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import type { PortableSeries, Series, SeriesReading } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { AggregateChunk } from '#/storeapi/store.ts';
import type { AggregateChoice } from '../aggregates.ts';
import { replicasSize, writeReplicas } from './chunk-bytes.ts';
import type { Replicas } from './chunk-bytes.ts';
import { ChunkReader } from './chunk-reader.ts';
import { isDownsampled, splitOverlaps } from './lanes.ts';
import { joinReplicas } from './seams.ts';
import type { ChunkPart } from './seams.ts';

/** How the series of one select are read. Without an algorithm only equal timestamps are dropped. */
export interface StoredReading extends SeriesReading {
  readonly kind: 'stored';
  readonly algorithm: DedupAlgorithm | undefined;
  readonly choice: AggregateChoice;
  readonly func: string;
  /** How far back the query sees at an instant, in milliseconds: its range or its lookback. */
  readonly rangeMs: number;
  readonly mint: number;
  readonly maxt: number;
}

/**
 * Reads the series of one select, and has the buffers they share: reading is synchronous, so
 * only one of them is ever at it.
 */
export class SeriesReader {
  readonly reading: StoredReading;
  readonly #algorithm: DedupAlgorithm | undefined;
  readonly #choice: AggregateChoice;
  readonly #isCounter: boolean;
  readonly #mint: number;
  readonly #maxt: number;
  readonly #budget: MemoryBudget;
  readonly #onDamage: (error: CorruptionError) => void;
  readonly #chunks: ChunkReader;
  #labels = Labels.empty;
  readonly #buffers: SampleBuffer[] = [];
  #reservedBytes = 0;

  constructor(
    reading: StoredReading,
    context: {
      readonly budget: MemoryBudget;
      /** Told of a chunk that cannot be read: it throws, or the chunk is left out. */
      readonly onDamage: (error: CorruptionError) => void;
    },
  ) {
    this.reading = reading;
    this.#algorithm = reading.algorithm;
    this.#choice = reading.choice;
    this.#isCounter = readsAsCounter(reading.algorithm ?? 'chain', reading.func);
    this.#mint = reading.mint;
    this.#maxt = reading.maxt;
    this.#budget = context.budget;
    this.#onDamage = context.onDamage;
    this.#chunks = new ChunkReader({
      choice: reading.choice,
      rangeMs: reading.rangeMs,
      onDamage: (chunk, thrown) => this.#report(chunk, thrown),
    });
  }

  /** Appends the samples of `[mint, maxt]`; `replicas` are the chunks of each, in time order. */
  read(
    { labels, replicas }: Pick<StoredSeries, 'labels' | 'replicas'>,
    mint: number,
    maxt: number,
    into: SampleBuffer,
  ): void {
    this.#labels = labels;
    const range = { mint: Math.max(mint, this.#mint), maxt: Math.min(maxt, this.#maxt) };
    const asked = { mint: this.#mint, maxt: this.#maxt };
    const joined = joinReplicas(replicas, asked);
    const windows = this.#isCounter ? [] : windowsOfAll(joined);
    const lanes = joined
      .map((chunks) =>
        windows.length === 0 ? chunks : chunks.filter((one) => !windows.includes(one)),
      )
      .filter((chunks) => chunks.length > 0)
      .map(splitOverlaps);
    if (windows.length === 0 && lanes.length === 1 && lanes[0]!.length === 1) {
      this.#readLane(lanes[0]![0]!, range, into);
      return;
    }
    let used = 0;
    const next = () => {
      const buffer = (this.#buffers[used++] ??= new SampleBuffer());
      buffer.clear();
      return buffer;
    };
    // Which replica penalty takes depends on where it began, and Thanos begins where the select does.
    const begin = this.#algorithm === 'penalty' ? { ...range, mint: this.#mint } : range;
    const sources = lanes.flatMap((ofReplica) => this.#readReplica(ofReplica, begin, next));
    const merged = begin.mint < range.mint || windows.length > 0 ? next() : into;
    mergeReplicas(this.#algorithm ?? 'chain', sources, { isCounter: this.#isCounter }, merged);
    if (windows.length > 0) {
      const ofWindows = splitOverlaps(windows).map((lane) => this.#read(lane, range, next()));
      mergeReplicas('chain', [...ofWindows, merged], { isCounter: false }, into);
    } else if (merged !== into) {
      const first = merged.times.subarray(0, merged.length).findIndex((time) => time >= range.mint);
      if (first !== -1) into.pushRange(merged, first, merged.length);
    }
    this.#account();
  }

  /**
   * One source for each lane, except where our algorithm knows the lanes for copies of what one
   * replica has, or for windows and the samples around them: those make one source. Totals count
   * from where their lane begins, and are no copies.
   */
  #readReplica(
    lanes: readonly (readonly ChunkPart[])[],
    range: { readonly mint: number; readonly maxt: number },
    next: () => SampleBuffer,
  ): SampleBuffer[] {
    const sources = lanes.map((lane) => this.#read(lane, range, next()));
    const areCopies =
      this.#algorithm === 'sticky' && !(this.#isCounter && lanes.some(isDownsampled));
    if (!areCopies || sources.length < 2) return sources;
    const merged = next();
    mergeReplicas('chain', sources, { isCounter: false }, merged);
    return [merged];
  }

  #read(
    lane: readonly ChunkPart[],
    range: { readonly mint: number; readonly maxt: number },
    into: SampleBuffer,
  ): SampleBuffer {
    this.#readLane(lane, range, into);
    return into;
  }

  /** Thanos makes totals of raw counters too, which hides their resets from `resets()`. */
  #readLane(
    lane: readonly ChunkPart[],
    range: { readonly mint: number; readonly maxt: number },
    into: SampleBuffer,
  ): void {
    const asThanos = this.#algorithm === 'penalty' || this.#algorithm === 'chain';
    if (this.#choice === 'counter' && (asThanos || isDownsampled(lane))) {
      this.#chunks.readTotals(lane, range, into);
    } else {
      this.#chunks.readSamples(lane, range, into);
    }
  }

  onDamage(error: CorruptionError): void {
    this.#onDamage(error);
  }

  #report({ mint, maxt }: AggregateChunk, thrown: CorruptionError): void {
    const where = `series ${this.#labels.toMetricString()}: chunk from ${mint} to ${maxt} ms`;
    this.#onDamage(new CorruptionError(`${where}: ${thrown.message}`, { cause: thrown }));
  }

  #account(): void {
    const bytes = this.#buffers.reduce((sum, { times }) => sum + times.length * 16, 0);
    if (bytes > this.#reservedBytes) {
      this.#budget.reserve(bytes - this.#reservedBytes);
      this.#reservedBytes = bytes;
    }
  }
}

/**
 * The downsampled chunks that were made of all replicas, of several. No replica is followed into
 * them or out of them: a window ends where it ends, whenever the next sample comes.
 */
function windowsOfAll([merged, ...others]: readonly (readonly ChunkPart[])[]): ChunkPart[] {
  return others.length === 0 ? [] : merged!.filter(({ raw }) => raw === undefined);
}

/** A series of a select's answer, decoded when it is read. */
export class StoredSeries implements Series, PortableSeries {
  readonly labels: Labels;
  readonly replicas: Replicas;
  readonly #reader: SeriesReader;

  constructor(labels: Labels, replicas: Replicas, reader: SeriesReader) {
    this.labels = labels;
    this.replicas = replicas;
    this.#reader = reader;
  }

  read(mint: number, maxt: number, into: SampleBuffer): void {
    this.#reader.read(this, mint, maxt, into);
  }

  get portable(): PortableSeries {
    return this;
  }

  get reading(): StoredReading {
    return this.#reader.reading;
  }

  get sizeBytes(): number {
    return replicasSize(this.replicas);
  }

  write(into: ByteWriter): void {
    writeReplicas(this.replicas, into);
  }

  onDamage(message: string): void {
    this.#reader.onDamage(new CorruptionError(message));
  }
}
