import type { Replica } from './truth.ts';

/** A stretch of time in which the samples of a replica need not be in an answer: `[mint, maxt)`. */
export interface Excuse {
  readonly replica: Replica;
  readonly mint: number;
  readonly maxt: number;
}

/** Whether one of them touches `[mint, maxt]`; of any replica if none is named. */
export function isExcused(
  excuses: readonly Excuse[],
  { mint, maxt }: { readonly mint: number; readonly maxt: number },
  replica?: Replica,
): boolean {
  return excuses.some(
    (excuse) =>
      excuse.mint <= maxt &&
      excuse.maxt > mint &&
      (replica === undefined || excuse.replica === replica),
  );
}
