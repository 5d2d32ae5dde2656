import type { Question } from './panel.ts';

/** What a querier said, as it said it. */
export interface Answer {
  readonly body: string;
  readonly seconds: number;
}

/** Asks one question. @throws Error unless the answer is complete. */
export async function ask(
  url: string,
  { expression, startMs, endMs, stepMs }: Question,
  parameters: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const times =
    stepMs === undefined
      ? { time: String(endMs / 1000) }
      : { start: String(startMs / 1000), end: String(endMs / 1000), step: String(stepMs / 1000) };
  const begun = performance.now();
  const response = await fetch(`${url}/api/v1/query${stepMs === undefined ? '' : '_range'}`, {
    method: 'POST',
    body: new URLSearchParams({ query: expression, ...times, ...parameters }),
  });
  const body = await response.text();
  const seconds = (performance.now() - begun) / 1000;
  if (response.ok && !body.includes('"warnings"')) return { body, seconds };
  throw new Error(`${expression}: status ${response.status}: ${body.slice(0, 500)}`);
}

/** One after the other, so that each has the machine for itself. */
export async function askAll(
  url: string,
  questions: readonly Question[],
  parameters: Readonly<Record<string, string>> = {},
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const question of questions) answers.push(await ask(url, question, parameters));
  return answers;
}

export type Sample = readonly [time: number, value: unknown];

/** The series of an answer by their labels, each with its samples; a scalar has no labels. */
export function seriesIn(body: string): Map<string, readonly Sample[]> {
  const { data } = JSON.parse(body) as { data: { result: ResultSeries[] } };
  return new Map(
    data.result.map((series) => {
      const key = JSON.stringify(series.metric);
      const { values = [], value, histograms = [], histogram } = series;
      const floats = value === undefined ? values : [value];
      const others = histogram === undefined ? histograms : [histogram];
      return [key, [...floats, ...others].sort(([a], [b]) => a - b)];
    }),
  );
}

interface ResultSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: Sample;
  readonly values?: readonly Sample[];
  readonly histogram?: Sample;
  readonly histograms?: readonly Sample[];
}

/** How two answers to one question are apart. */
export interface Difference {
  readonly expression: string;
  readonly samples: number;
  readonly of: number;
  /** The first of them, in words. */
  readonly first: string;
}

export function differenceOf(
  { expression }: Question,
  want: Answer,
  got: Answer,
): Difference | undefined {
  if (want.body === got.body) return undefined;
  const [wanted, gotten] = [seriesIn(want.body), seriesIn(got.body)];
  let samples = 0;
  let of = 0;
  let first: string | undefined;
  for (const key of new Set([...wanted.keys(), ...gotten.keys()])) {
    const [a, b] = [byTime(wanted.get(key)), byTime(gotten.get(key))];
    for (const time of new Set([...a.keys(), ...b.keys()])) {
      of++;
      if (a.get(time) === b.get(time)) continue;
      samples++;
      first ??= `${key} at ${time}: ${a.get(time)} became ${b.get(time)}`;
    }
  }
  first ??= `${want.body.slice(-200)} became ${got.body.slice(-200)}`;
  return { expression, samples, of, first };
}

function byTime(samples: readonly Sample[] = []): Map<number, string> {
  return new Map(samples.map(([time, value]) => [time, JSON.stringify(value)]));
}
