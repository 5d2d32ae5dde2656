import type { Answer } from './answers.ts';

export interface Comparison {
  readonly got: Answer;
  readonly want: Answer;
  /** Whether the order of series is part of the answer. */
  readonly ordered: boolean;
}

/** Prometheus sends at most this many annotations of a kind, and how many more there are. */
const MAX_ANNOTATIONS = 10;

/**
 * What is different, in a line; `undefined` when nothing is, or no number by more than `tolerance`
 * of the largest in its series.
 */
export function difference(
  { got, want, ordered }: Comparison,
  tolerance: number,
): string | undefined {
  if (got.status !== want.status || got.error !== want.error || got.errorType !== want.errorType) {
    return `got ${outcome(got)}, want ${outcome(want)}`;
  }
  if (want.status === 'error') return undefined;
  return (
    valueDifference({ got, want, ordered }, tolerance) ??
    notesDifference('warnings', got, want) ??
    notesDifference('infos', got, want)
  );
}

function outcome({ status, errorType, error }: Answer): string {
  return status === 'success' ? 'an answer' : `${errorType}: ${error}`;
}

function valueDifference(
  { got, want, ordered }: Comparison,
  tolerance: number,
): string | undefined {
  const [left, right] = [lines(got, ordered), lines(want, ordered)];
  for (const [i, line] of left.entries()) {
    const wanted = right[i];
    if (wanted === undefined) break;
    if (line !== wanted && !isNear(line, wanted, tolerance)) return excerpt(line, wanted);
  }
  if (left.length === right.length) return undefined;
  const extra = (left[right.length] ?? right[left.length])!.slice(0, 200);
  return `got ${left.length} series, want ${right.length}; the first too many: ${extra}`;
}

/** A line a series, with its labels sorted. */
function lines({ data }: Answer, ordered: boolean): string[] {
  const { resultType, result } = data!;
  if (resultType === 'scalar' || resultType === 'string') return [JSON.stringify(data)];
  const series = result as readonly Series[];
  if (resultType === 'matrix') return series.map(print);
  return ordered ? runsOfEqualValues(series).flatMap(sorted) : sorted(series);
}

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** Of a vector's floats. */
  readonly value?: readonly [number, string];
}

function sorted(series: readonly Series[]): string[] {
  return series.map(print).sort();
}

function print({ metric, ...samples }: Series): string {
  const labels = Object.fromEntries(Object.entries(metric).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify({ metric: labels, ...samples });
}

/** Prometheus sorts by value and leaves open what becomes of equal ones. */
function runsOfEqualValues(series: readonly Series[]): Series[][] {
  const runs: Series[][] = [];
  for (const [i, one] of series.entries()) {
    const isEqual = i > 0 && sortValue(one) === sortValue(series[i - 1]!);
    if (isEqual) runs.at(-1)!.push(one);
    else runs.push([one]);
  }
  return runs;
}

/** As text, so that NaN equals NaN; adding 0 makes the zeros one. */
function sortValue({ value }: Series): string {
  return value === undefined ? '' : String(Number(value[1].replace('Inf', 'Infinity')) + 0);
}

function notesDifference(
  kind: 'warnings' | 'infos',
  got: Answer,
  want: Answer,
): string | undefined {
  const [left, right] = [comparable(got[kind]), comparable(want[kind])];
  if (left.size > MAX_ANNOTATIONS && right.size > MAX_ANNOTATIONS) return undefined;
  const extra = [...left].filter((text) => !right.has(text));
  const missing = [...right].filter((text) => !left.has(text));
  if (extra.length === 0 && missing.length === 0) return undefined;
  return `${kind}: got also ${JSON.stringify(extra)}, lacks ${JSON.stringify(missing)}`;
}

/** Prometheus adds its count of samples to itself at every step, until it is nonsense. */
function comparable(notes: readonly string[] = []): Set<string> {
  return new Set(
    notes.map((text) => text.replace(/, over -?\d+ samples from/, ', over # samples from')),
  );
}

const NUMBER = /"(?:[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|Inf)|NaN)"/g;

/** Whether two texts are equal but for values (which are quoted) that are nearly equal. */
function isNear(got: string, want: string, tolerance: number): boolean {
  if (tolerance === 0 || got.replace(NUMBER, '#') !== want.replace(NUMBER, '#')) return false;
  const wanted = want.match(NUMBER) ?? [];
  const numbers = wanted.map(unquoted);
  const largest = numbers.reduce(
    (max, n) => (Number.isFinite(n) ? Math.max(max, Math.abs(n)) : max),
    0,
  );
  return (got.match(NUMBER) ?? []).every((text, i) => {
    if (text === wanted[i]) return true;
    return Math.abs(unquoted(text) - numbers[i]!) <= tolerance * largest;
  });
}

function unquoted(text: string): number {
  return Number(text.slice(1, -1).replace('Inf', 'Infinity'));
}

/** The two texts around the first place where they differ. */
function excerpt(got: string, want: string): string {
  let at = 0;
  while (got[at] === want[at]) at++;
  const from = Math.max(0, at - 60);
  return `${got.slice(0, 80)} … got …${got.slice(from, at + 60)}…, want …${want.slice(from, at + 60)}…`;
}
