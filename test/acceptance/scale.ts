export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
/** The start of an aligned range of two weeks, years ago. */
export const START_MS = Math.floor(1_700_000_000_000 / (14 * DAY_MS)) * 14 * DAY_MS;

/** How much of everything there is. */
export interface Scale {
  readonly days: number;
  /** Of each replica. */
  readonly series: number;
  readonly intervalMs: number;
  /**
   * Whether the replicas scrape a target at the same moments, and see the same whenever they see it.
   * Else each has a moment of its own for it, as two Prometheuses do.
   */
  readonly inStep: boolean;
}
