/** Milliseconds, `[mint, maxt]`. */
export interface TimeRange {
  readonly mint: number;
  readonly maxt: number;
}
