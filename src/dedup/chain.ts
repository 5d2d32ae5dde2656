import { CounterReset } from '#/model/histogram.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';

/**
 * Every sample of every replica in time order, the first of equal timestamps. Which replica is
 * first among equals follows from the order of a binary heap, and a histogram that does not come
 * straight after its own predecessor loses its counter-reset hint: both as in chainSampleIterator
 * (storage/merge.go in Prometheus), whose `chain` this is in Thanos.
 */
export function mergeChain(replicas: readonly SampleBuffer[], into: SampleBuffer): void {
  const next = replicas.map(() => 0);
  next[0] = -1;
  const heap = new ReplicaHeap((a, b) => timeAt(replicas, next, a) < timeAt(replicas, next, b));
  for (let i = 1; i < replicas.length; i++) if (replicas[i]!.length > 0) heap.push(i);

  let current = 0;
  let lastTime = Number.NEGATIVE_INFINITY;
  for (let consecutive = false; ; consecutive = true) {
    for (;;) {
      const index = ++next[current]!;
      const samples = replicas[current]!;
      if (index < samples.length) {
        if (samples.times[index] === lastTime) continue;
        const top = heap.top;
        if (top === undefined || samples.times[index]! < timeAt(replicas, next, top)) break;
        heap.push(current);
      } else if (heap.top === undefined) return;
      current = heap.pop();
      consecutive = false;
      if (timeAt(replicas, next, current) !== lastTime) break;
    }
    lastTime = timeAt(replicas, next, current);
    pushSample(into, replicas[current]!, next[current]!, consecutive);
  }
}

function timeAt(replicas: readonly SampleBuffer[], next: readonly number[], i: number): number {
  return replicas[i]!.times[next[i]!]!;
}

function pushSample(
  into: SampleBuffer,
  samples: SampleBuffer,
  index: number,
  consecutive: boolean,
): void {
  into.pushFrom(samples, index);
  if (consecutive || into.histograms === undefined) return;
  const histogram = into.histograms[into.length - 1];
  if (histogram === undefined || histogram.counterReset === CounterReset.Gauge) return;
  into.histograms[into.length - 1] = { ...histogram, counterReset: CounterReset.Unknown };
}

/** Replica numbers in a binary heap that orders equals as Go's container/heap does. */
class ReplicaHeap {
  readonly #items: number[] = [];
  readonly #less: (a: number, b: number) => boolean;

  constructor(less: (a: number, b: number) => boolean) {
    this.#less = less;
  }

  get top(): number | undefined {
    return this.#items[0];
  }

  push(item: number): void {
    const items = this.#items;
    items.push(item);
    let at = items.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#less(items[at]!, items[parent]!)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  pop(): number {
    const items = this.#items;
    const end = items.length - 1;
    this.#swap(0, end);
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= end) break;
      if (child + 1 < end && this.#less(items[child + 1]!, items[child]!)) child++;
      if (!this.#less(items[child]!, items[at]!)) break;
      this.#swap(at, child);
      at = child;
    }
    return items.pop()!;
  }

  #swap(a: number, b: number): void {
    const items = this.#items;
    [items[a], items[b]] = [items[b]!, items[a]!];
  }
}
