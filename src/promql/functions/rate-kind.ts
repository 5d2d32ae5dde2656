export interface RateKind {
  /** Falls are counter resets, and the counter was never below zero. */
  readonly isCounter: boolean;
  /** Per second instead of over the range. */
  readonly isRate: boolean;
}
