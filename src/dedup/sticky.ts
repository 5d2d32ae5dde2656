import { CounterReset } from '#/model/histogram.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { joinCounter } from './sticky/join.ts';
import type { Join } from './sticky/join.ts';
import { Replica } from './sticky/replica.ts';

/** A distance over this many scrape intervals is a gap. */
const GAP_INTERVALS = 1.5;

/**
 * Follows one replica and switches only where that one has a gap: a distance over 1.5 times its
 * scrape interval (or that of a much finer replica), or a stale marker, that another replica can
 * fill. The name is that of sticky sessions. What it guarantees:
 *
 * - No gap is left that a replica could fill.
 * - Between two switches the samples are one replica's, so every rate there is that replica's.
 * - A counter falls only where a replica fell (see sticky/join.ts). Everything else keeps the
 *   values that a replica had at that time.
 * - A stale marker is kept only when no replica goes on.
 * - Merging the result again changes nothing, and the order of the replicas decides only between
 *   samples of the same time.
 */
export function mergeSticky(
  replicas: readonly SampleBuffer[],
  isCounter: boolean,
  into: SampleBuffer,
): void {
  const filled = replicas.filter((samples) => samples.length > 0);
  new StickyMerge(
    filled.map((samples) => new Replica(samples)),
    isCounter,
    into,
  ).run();
}

/** A sample to go on with, or a marker to end with. */
interface Choice {
  readonly replica: Replica;
  readonly index: number;
}

class StickyMerge {
  readonly #replicas: readonly Replica[];
  readonly #isCounter: boolean;
  readonly #into: SampleBuffer;
  /** Time and, with its offset, level of the last sample taken; markers do not count. */
  #lastTime = Number.NEGATIVE_INFINITY;
  #lastLevel = Number.NaN;
  #lastIsHistogram = false;
  /** The last sample's index in the replica that it came from. */
  #lastIndex = -1;
  #ended = false;
  #lastReset = Number.NEGATIVE_INFINITY;
  /** The distance that counts as a gap where the last run ended. */
  #gapLimit = Number.POSITIVE_INFINITY;

  constructor(replicas: readonly Replica[], isCounter: boolean, into: SampleBuffer) {
    this.#replicas = replicas;
    this.#isCounter = isCounter;
    this.#into = into;
  }

  run(): void {
    let current: Replica | undefined;
    for (;;) {
      const choice = this.#choose(current);
      if (current !== undefined) this.#markEnd(choice, current);
      if (choice === undefined) return;
      const { replica, index } = choice;
      const end = this.#runEnd(replica, index);
      if (this.#isCounter && current !== undefined && replica !== current) {
        const join = this.#joinAt(current, replica, index);
        this.#applyJoin(join, replica, index);
        this.#take(replica, index, end, false);
        hintJoin(join, this.#into, this.#into.length - (end - index));
      } else {
        this.#take(replica, index, end, replica === current);
      }
      current = replica;
    }
  }

  /** The earliest sample that any replica has next; `current`'s own and earlier replicas win ties. */
  #choose(current: Replica | undefined): Choice | undefined {
    let best: Choice | undefined;
    if (current !== undefined) {
      const index = nextSample(current, this.#lastTime);
      if (index < current.length) best = { replica: current, index };
    }
    for (const replica of this.#replicas) {
      if (replica === current) continue;
      const index = this.#candidate(replica);
      if (index >= replica.length) continue;
      if (best !== undefined && replica.time(index) >= best.replica.time(best.index)) continue;
      best = { replica, index };
    }
    return best;
  }

  /**
   * The sample of another replica to go on with. One that comes too soon after the last is left
   * out if the next is still in time, so that a switch does not raise the sampling rate.
   */
  #candidate(replica: Replica): number {
    const index = nextSample(replica, this.#lastTime);
    if (index + 1 >= replica.length || this.#ended || this.#gapLimit === Number.POSITIVE_INFINITY) {
      return index;
    }
    const tooSoon = replica.time(index) - this.#lastTime < this.#gapLimit / (2 * GAP_INTERVALS);
    const inTime = replica.time(index + 1) - this.#lastTime <= this.#gapLimit;
    return tooSoon && inTime && !replica.isMarker(index + 1) ? index + 1 : index;
  }

  /** Writes a stale marker if a replica recorded one since the last sample and none goes on. */
  #markEnd(choice: Choice | undefined, current: Replica): void {
    const until = choice?.replica.time(choice.index) ?? Number.POSITIVE_INFINITY;
    let first: Choice | undefined;
    for (const replica of this.#replicas) {
      const index = replica.after(this.#lastTime);
      if (index >= replica.length || !replica.isMarker(index)) continue;
      if (replica.time(index) >= (first?.replica.time(first.index) ?? until)) continue;
      first = { replica, index };
    }
    this.#ended = first !== undefined && !this.#goesOn(choice, current);
    if (this.#ended) this.#into.pushFrom(first!.replica.samples, first!.index);
  }

  #goesOn(choice: Choice | undefined, current: Replica): boolean {
    if (choice === undefined || choice.replica === current) return false;
    const { replica, index } = choice;
    if (replica.time(index) - this.#lastTime <= this.#gapLimit) return true;
    if (index === 0 || replica.isMarker(index - 1)) return false;
    const distance = replica.time(index) - replica.time(index - 1);
    return distance <= GAP_INTERVALS * replica.intervalAt(index - 1);
  }

  /** Index behind the samples that follow `from` without a gap or a marker. */
  #runEnd(replica: Replica, from: number): number {
    const { times } = replica.samples;
    for (let i = from; ;) {
      const blockEnd = replica.blockEnd(i);
      this.#gapLimit = GAP_INTERVALS * this.#intervalFor(replica, i, times[blockEnd]!);
      while (
        i < blockEnd &&
        times[i + 1]! - times[i]! <= this.#gapLimit &&
        !replica.isMarker(i + 1)
      ) {
        i++;
      }
      if (i < blockEnd || i === replica.length - 1) return i + 1;
    }
  }

  /** The replica's own interval, unless it is a slow one beside a much finer one. */
  #intervalFor(replica: Replica, index: number, until: number): number {
    const own = replica.intervalAt(index);
    let finest = own;
    for (const other of this.#replicas) {
      if (other === replica) continue;
      finest = Math.min(finest, other.finestInterval(replica.time(index), until));
    }
    return own > GAP_INTERVALS * finest ? finest : own;
  }

  #take(replica: Replica, from: number, end: number, resumed: boolean): void {
    const start = this.#into.length;
    this.#into.pushRange(replica.samples, from, end);
    if (this.#isCounter) this.#adjust(replica, from, end, start, resumed);
    this.#lastTime = replica.time(end - 1);
    this.#lastIndex = end - 1;
    this.#lastIsHistogram = replica.isHistogram(end - 1);
    this.#lastLevel = replica.level(end - 1) + (this.#lastIsHistogram ? 0 : replica.offset);
  }

  /** Adds the replica's offset to the samples from `start` on; a reset ends every offset. */
  #adjust(replica: Replica, from: number, end: number, start: number, resumed: boolean): void {
    const { values, histograms } = this.#into;
    let previous = resumed ? replica.level(this.#lastIndex) : Number.NEGATIVE_INFINITY;
    for (let i = from; i < end; i++) {
      const level = replica.level(i);
      if (level < previous) this.#reset(replica.time(i));
      if (level === level) previous = level;
      const at = start + i - from;
      if (replica.offset !== 0 && histograms?.[at] === undefined && level === level) {
        values[at] = level + replica.offset;
      }
    }
  }

  #reset(time: number): void {
    this.#lastReset = time;
    for (const replica of this.#replicas) replica.offset = 0;
  }

  /** Decides how the counter goes on with `to`, at its sample `index`. */
  #joinAt(from: Replica, to: Replica, index: number): Join {
    if (to.isHistogram(index) !== this.#lastIsHistogram) return { kind: 'overtaken' };
    const next = nextSample(from, this.#lastTime);
    const leftFalls = next < from.length && from.level(next) < from.level(this.#lastIndex);
    const standing = {
      time: this.#lastTime,
      level: this.#lastLevel,
      lastReset: this.#lastReset,
      leftFalls,
    };
    return joinCounter(standing, to, index);
  }

  #applyJoin(join: Join, to: Replica, index: number): void {
    if (join.kind === 'reset') this.#reset(to.time(index));
    else to.offset = join.kind === 'onward' && !to.isHistogram(index) ? join.offset : 0;
  }
}

/**
 * Histograms are not shifted: PromQL asks the counter-reset hint of a histogram before it compares
 * buckets, so telling that there was no reset keeps a small step back from becoming one.
 */
function hintJoin(join: Join, into: SampleBuffer, at: number): void {
  const histogram = into.histograms?.[at];
  if (histogram === undefined || histogram.counterReset === CounterReset.Gauge) return;
  into.histograms![at] = { ...histogram, counterReset: HINTS[join.kind] };
}

const HINTS = {
  onward: CounterReset.No,
  overtaken: CounterReset.Unknown,
  reset: CounterReset.Yes,
} as const;

/** The first sample after `time` that is no stale marker. */
function nextSample(replica: Replica, time: number): number {
  let index = replica.after(time);
  while (index < replica.length && replica.isMarker(index)) index++;
  return index;
}
