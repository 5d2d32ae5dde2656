/** What a pass of a queue did. */
export interface PassResult {
  /** Jobs that changed the bucket: another pass may find more to do. */
  readonly worked: number;
  /** Jobs that were left alone because another compactor has their leases. */
  readonly elsewhere: number;
  /** What could not be done, a line each. */
  readonly failures: readonly string[];
}
