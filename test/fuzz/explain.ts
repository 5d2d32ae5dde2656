import { knownDifferences } from '../differential/known-differences.ts';
import type { Ask } from './answers.ts';
import { difference } from './difference.ts';
import { isOrdered } from './random-query.ts';
import type { QueryTimes } from './random-query.ts';

export interface Sides {
  readonly ours: Ask;
  readonly theirs: Ask;
  /** Of their Prometheus; decides which differences are known. */
  readonly version: string;
}

/** How the two sides' answers to one query compare. */
export type Verdict =
  | { readonly kind: 'equal' }
  | { readonly kind: 'explained'; readonly reason: string }
  | { readonly kind: 'unexplained'; readonly difference: string };

const ANSWERS_OF_ONE_QUERY = 3;

/** Asks both sides and looks for the reason if they differ. */
export async function compareSides(
  { ours, theirs, version }: Sides,
  text: string,
  times: QueryTimes,
): Promise<Verdict> {
  const ordered = times.stepMs === 0 && isOrdered(text);
  const [got, want] = await Promise.all([ours(text, times), theirs(text, times)]);
  const found = difference({ got, want, ordered }, 0);
  if (found === undefined) return { kind: 'equal' };
  for (const { reason, tolerance } of knownDifferences(text, version)) {
    if (tolerance === 0 || difference({ got, want, ordered }, tolerance) === undefined) {
      return { kind: 'explained', reason };
    }
  }
  for (let i = 1; i < ANSWERS_OF_ONE_QUERY; i++) {
    const again = await theirs(text, times);
    if (difference({ got: again, want, ordered }, 0) !== undefined) {
      return { kind: 'explained', reason: 'Prometheus itself answers now this, now that' };
    }
  }
  return { kind: 'unexplained', difference: found };
}
