import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { mergeChain } from './chain.ts';
import { mergePenalty } from './penalty.ts';
import { mergeSticky } from './sticky.ts';

/** The values of `--deduplication.func`. `penalty` and `chain` are Thanos's, sample for sample. */
export const DedupAlgorithms = ['sticky', 'penalty', 'chain'] as const;
export type DedupAlgorithm = (typeof DedupAlgorithms)[number];

export const DEFAULT_DEDUP_ALGORITHM: DedupAlgorithm = 'sticky';

export interface DedupOptions {
  /** Whether the reader takes a fall as a counter reset; see `readsAsCounter`. */
  readonly isCounter: boolean;
}

/**
 * Appends to `into` one series made of its replicas: samples in time order, one a timestamp. The
 * replicas are left as they are; each holds its samples in time order, stale markers included.
 * Costs O(samples of all replicas), and allocates a few arrays a series, nothing a sample.
 */
export function mergeReplicas(
  algorithm: DedupAlgorithm,
  replicas: readonly SampleBuffer[],
  options: DedupOptions,
  into: SampleBuffer,
): void {
  if (replicas.length === 1) {
    into.pushRange(replicas[0]!, 0, replicas[0]!.length);
    return;
  }
  switch (algorithm) {
    case 'sticky':
      mergeSticky(replicas, options.isCounter, into);
      return;
    case 'penalty':
      mergePenalty(replicas, options.isCounter, into);
      return;
    case 'chain':
      mergeChain(replicas, into);
      return;
  }
}

const COUNTER_FUNCTIONS = new Set(['rate', 'irate', 'increase', 'resets']);
const EXTENDED_COUNTER_FUNCTIONS = new Set(['xrate', 'xincrease']);

/**
 * Whether the innermost function over a selector takes a fall of the value as a counter reset.
 *
 * This, not the metric, decides about rebasing. Only such a function turns a small step back
 * between two replicas into a spike, so only it may be given adjusted values. Everyone else (the
 * plain selector, `delta`, `max_over_time` …) gets values that some replica really had. The type
 * in the metadata and a suffix such as `_total` say what a metric is meant to be, not how this
 * query reads it, and neither is there or true for every series.
 */
export function readsAsCounter(algorithm: DedupAlgorithm, func: string): boolean {
  if (COUNTER_FUNCTIONS.has(func)) return true;
  return algorithm === 'sticky' && EXTENDED_COUNTER_FUNCTIONS.has(func);
}
