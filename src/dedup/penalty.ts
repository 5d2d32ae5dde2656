import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { INITIAL_PENALTY_MS, mergePenaltyColumns } from './penalty/columns.ts';

/**
 * Thanos's default (pkg/dedup/iter.go): sides A and B are merged pairwise, replicas from left to
 * right. After a sample of one side the other is skipped by twice the distance of the last two
 * samples taken, so that two phases do not interleave. When the picked side changes under a counter
 * function, each side is lifted to the value before.
 *
 * Kept with its quirks, since graphs depend on them: a first pick of side B is adjusted against
 * A's first sample, and histograms are never adjusted. One is not kept: Go's addition turns the
 * stale markers of counters into ordinary NaNs, so that rates over them are NaN; here they stay.
 */
export function mergePenalty(
  replicas: readonly SampleBuffer[],
  isCounter: boolean,
  into: SampleBuffer,
): void {
  if (replicas.length === 0) return;
  if (!isCounter && into.length === 0 && replicas.every(hasFloatsOnly)) {
    mergePenaltyColumns(replicas, into);
    return;
  }
  // Thanos hands a lone replica on as it is, without the arithmetic of adjusting.
  let merged: Cursor = new ReplicaCursor(replicas[0]!, isCounter && replicas.length > 1);
  for (const replica of replicas.slice(1)) {
    merged = new PairCursor(merged, new ReplicaCursor(replica, isCounter));
  }
  while (merged.next()) merged.current.pushTo(into);
}

function hasFloatsOnly({ histograms, startTimes, counts }: SampleBuffer): boolean {
  return histograms === undefined && startTimes === undefined && counts === undefined;
}

/** A position in a series: before the first sample, at one, or behind the last. */
interface Cursor {
  readonly time: number;
  readonly isFloat: boolean;
  /** The replica that the sample at hand comes from. */
  readonly current: ReplicaCursor;
  next(): boolean;
  /** Goes on to the first sample at or after `time`, without moving from one that already is. */
  seek(time: number): boolean;
  /** Makes up for the sample at hand, where it is a float, being less than `last`. */
  adjust(last: number): void;
}

class ReplicaCursor implements Cursor {
  readonly #samples: SampleBuffer;
  readonly #adjusts: boolean;
  #index = -1;
  #adjustment = 0;

  constructor(samples: SampleBuffer, adjusts: boolean) {
    this.#samples = samples;
    this.#adjusts = adjusts;
  }

  get time(): number {
    return this.#samples.times[this.#index]!;
  }

  get isFloat(): boolean {
    return this.#samples.histograms?.[this.#index] === undefined;
  }

  get current(): ReplicaCursor {
    return this;
  }

  get value(): number {
    return this.#samples.values[this.#index]! + this.#adjustment;
  }

  next(): boolean {
    this.#index++;
    return this.#index < this.#samples.length;
  }

  seek(time: number): boolean {
    const { times, length } = this.#samples;
    while (this.#index < length && times[this.#index]! < time) this.#index++;
    return this.#index < length;
  }

  adjust(last: number): void {
    if (this.#adjusts && last > this.value) this.#adjustment += last - this.value;
  }

  pushTo(into: SampleBuffer): void {
    into.pushFrom(this.#samples, this.#index);
    const { value } = this;
    const isNumber = value === value;
    if (this.#adjustment !== 0 && this.isFloat && isNumber) into.values[into.length - 1] = value;
  }
}

class PairCursor implements Cursor {
  readonly #a: Cursor;
  readonly #b: Cursor;
  #aliveA: boolean;
  #aliveB: boolean;
  #onA = true;
  #penaltyA = 0;
  #penaltyB = 0;
  #lastTime = Number.NEGATIVE_INFINITY;

  constructor(a: Cursor, b: Cursor) {
    this.#a = a;
    this.#b = b;
    this.#aliveA = a.next();
    this.#aliveB = b.next();
  }

  get time(): number {
    return this.#side.time;
  }

  get isFloat(): boolean {
    return this.#side.isFloat;
  }

  get current(): ReplicaCursor {
    return this.#side.current;
  }

  get #side(): Cursor {
    return this.#onA ? this.#a : this.#b;
  }

  next(): boolean {
    const wasOnA = this.#onA;
    const wasAlive = wasOnA ? this.#aliveA : this.#aliveB;
    const last = wasAlive && this.isFloat ? this.current.value : undefined;
    const found = this.#advance();
    if (this.#onA !== wasOnA && last !== undefined) this.adjust(last);
    return found;
  }

  #advance(): boolean {
    this.#aliveA &&= this.#a.seek(this.#lastTime + 1 + this.#penaltyA);
    this.#aliveB &&= this.#b.seek(this.#lastTime + 1 + this.#penaltyB);
    if (!this.#aliveA || !this.#aliveB) {
      this.#onA = this.#aliveA;
      if (!this.#aliveA && !this.#aliveB) return false;
      this.#penaltyA = this.#aliveA ? 0 : this.#penaltyA;
      this.#penaltyB = this.#aliveB ? 0 : this.#penaltyB;
      this.#lastTime = this.time;
      return true;
    }
    this.#onA = this.#a.time <= this.#b.time;
    const { time } = this;
    const first = this.#lastTime === Number.NEGATIVE_INFINITY;
    const penalty = first ? INITIAL_PENALTY_MS : 2 * (time - this.#lastTime);
    this.#penaltyA = this.#onA ? 0 : penalty;
    this.#penaltyB = this.#onA ? penalty : 0;
    this.#lastTime = time;
    return true;
  }

  seek(time: number): boolean {
    while (this.time < time) if (!this.next()) return false;
    return true;
  }

  adjust(last: number): void {
    if (this.#aliveA && this.#a.isFloat) this.#a.adjust(last);
    if (this.#aliveB && this.#b.isFloat) this.#b.adjust(last);
  }
}
