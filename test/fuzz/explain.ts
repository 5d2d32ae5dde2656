import { knownDifferences } from '../differential/known-differences.ts';
import type { Answer, Ask } from './answers.ts';
import { difference } from './difference.ts';
import { partsOf, textOf } from './query-tree.ts';
import type { QueryNode } from './query-tree.ts';
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

/** The order of a map decides; often there are two possible answers, one of them in seven at times. */
export const ANSWERS_OF_ONE_QUERY = 64;

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
  const reason = reasonOf(text, got, want);
  if (reason !== undefined) return { kind: 'explained', reason };
  for (let i = 1; i < ANSWERS_OF_ONE_QUERY; i++) {
    const again = await theirs(text, times);
    if (difference({ got: again, want, ordered }, 0) !== undefined) {
      return { kind: 'explained', reason: 'Prometheus itself answers now this, now that' };
    }
  }
  return { kind: 'unexplained', difference: found };
}

/**
 * As `compareSides`; of two failures in different parts of a query either may be reported, since both
 * sides of an operator are evaluated at once here. What fails alone must fail alike.
 */
export async function compareQuery(
  sides: Sides,
  query: QueryNode,
  times: QueryTimes,
): Promise<Verdict> {
  const verdict = await compareSides(sides, textOf(query), times);
  if (verdict.kind !== 'unexplained') return verdict;
  const text = textOf(query);
  const [got, want] = await Promise.all([sides.ours(text, times), sides.theirs(text, times)]);
  if (got.errorType !== 'execution' || want.errorType !== 'execution') return verdict;
  for (const part of partsOf(query, 'vector')) {
    const partText = textOf(part);
    const [ourPart, theirPart] = await Promise.all([
      sides.ours(partText, times),
      sides.theirs(partText, times),
    ]);
    if (theirPart.error === got.error || ourPart.error === want.error) {
      return { kind: 'explained', reason: 'of two failures in one query the other is reported' };
    }
  }
  return verdict;
}

/** Reasons that lie in what both sides say of a query rather than in its text alone. */
function reasonOf(text: string, got: Answer, want: Answer): string | undefined {
  const mixes = /label_replace|label_join|-/.test(text);
  if (got.error === SAME_LABELS && want.status === 'success' && mixes) {
    return 'Prometheus lets series that became equal have a float and a histogram at one time';
  }
  if (got.error?.includes('modifier can only be used with') && want.status === 'error') {
    return 'of two failures, a modifier that a function does not take comes first here';
  }
  if (got.error?.startsWith(DUPLICATES) && want.error?.startsWith(DUPLICATES)) {
    if (/limit_ratio|limitk|topk|bottomk|sort/.test(text)) {
      return 'which duplicates are named depends on the order of an operand, that of a heap there';
    }
  }
  if (
    isAmbiguous(got) &&
    got.error?.startsWith(DUPLICATES) !== want.error?.startsWith(DUPLICATES)
  ) {
    if (isAmbiguous(want))
      return 'of two failures of a join, at different steps, the other is reported';
  }
  const [ours, theirs] = [got.data, want.data].map((data) => zerosAsOne(data));
  if (/quantile/.test(text) && ours !== undefined && ours === theirs) {
    return 'Prometheus sorts the two zeros in no order';
  }
  return undefined;
}

function isAmbiguous({ error = '' }: Answer): boolean {
  return error.startsWith(DUPLICATES) || error.startsWith('multiple matches for labels: grouping');
}

function zerosAsOne(data: unknown): string | undefined {
  return data === undefined ? undefined : JSON.stringify(data).replaceAll('"-0"', '"0"');
}

const SAME_LABELS = 'vector cannot contain metrics with the same labelset';
const DUPLICATES = 'found duplicate series for the match group';
