/** The evaluation times of a query: `startMs + i × stepMs` for i in `[0, steps)`. */
export interface StepGrid {
  readonly startMs: number;
  /** 0 for an instant query, which has one step. */
  readonly stepMs: number;
  readonly steps: number;
  /** The end of the range that the steps were laid into, at or after the last; absent: the last. */
  readonly endMs?: number;
}
