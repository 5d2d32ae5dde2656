import type { Gap } from './gaps.ts';

/** What was written into the bucket. */
export interface History {
  /** Half-open range, in milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
  readonly intervalMs: number;
  readonly replicas: readonly {
    readonly name: string;
    /** Its samples lie at multiples of the interval plus this. */
    readonly phaseMs: number;
    readonly gaps: readonly Gap[];
  }[];
}
