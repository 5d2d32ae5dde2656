import { parseDuration } from '#/model/time.ts';
import { ask, seriesIn } from './answers.ts';
import type { Question } from './panel.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, START_MS } from './scale.ts';
import type { Scale } from './scale.ts';

/** What the panel over downsampled data found. */
export interface CoarseReport {
  /** Samples that were compared with those of raw data. */
  readonly compared: number;
  /** Of `rate` and `increase`, relative. */
  readonly largestRateError: number;
  readonly problems: readonly string[];
}

/** A querier, and what is said to it with every question. */
interface Place {
  readonly url: string;
  readonly parameters: Readonly<Record<string, string>>;
}

interface Resolution {
  readonly name: string;
  readonly stepMs: number;
  /** Blocks as long as this are downsampled to it. */
  readonly blockMs: number;
  readonly windows: readonly string[];
  /**
   * Of at least 70 coarse samples: what a counter grew before the first of them is extrapolated, which is
   * off by as much as its rate changes within the window, divided by their number.
   */
  readonly rateWindows: readonly string[];
}

const resolutions: readonly Resolution[] = [
  {
    name: '5m',
    stepMs: 5 * MINUTE_MS,
    blockMs: 2 * DAY_MS,
    windows: ['10m', '35m', '6h'],
    rateWindows: ['6h', '1d'],
  },
  {
    name: '1h',
    stepMs: HOUR_MS,
    blockMs: 14 * DAY_MS,
    windows: ['2h', '7h', '2d'],
    rateWindows: ['3d', '7d'],
  },
];

const exact = ['sum_over_time', 'count_over_time', 'min_over_time', 'max_over_time'];
const selectors = ['temperature', 'requests_total{code="500"}', 'up', 'worker_queue_length'];
const counters = ['requests_total', 'sent_bytes_total{code="200"}'];
const MOST_RATE_ERROR = 0.01;
const MOST_MISSING = 0.005;
const POINTS = 300;

/**
 * Asks the same at raw and at coarse resolution, over windows that end where those of the coarse
 * samples do: sums, counts, least and greatest values must be the same, and where the window has all
 * of its scrapes, rates within 1 %.
 */
export async function checkCoarse(
  url: string,
  scale: Scale,
  parameters: Readonly<Record<string, string>>,
): Promise<CoarseReport> {
  const place = { url, parameters };
  const problems: string[] = [];
  let compared = 0;
  let largestRateError = 0;
  for (const resolution of resolutions) {
    const covered = Math.floor((scale.days * DAY_MS) / resolution.blockMs) * resolution.blockMs;
    if (covered === 0) continue;
    const exactly = resolution.windows.flatMap((window) =>
      exact.flatMap((name) => selectors.map((selector) => `${name}(${selector}[${window}])`)),
    );
    for (const expression of exactly) {
      const pairs = await pairsOf(place, aligned(expression, covered, resolution), resolution.name);
      compared += pairs.length;
      const wrong = pairs.filter(({ raw, coarse }) => raw !== coarse);
      if (wrong.length > 0) problems.push(describe(expression, resolution, wrong, pairs));
    }
    const nearly = resolution.rateWindows.flatMap((window) =>
      counters.map((selector) => `${selector}[${window}]`),
    );
    for (const range of nearly) {
      const whole = await wholeWindows(place, aligned(range, covered, resolution), scale);
      for (const name of ['rate', 'increase']) {
        const expression = `${name}(${range})`;
        const all = await pairsOf(place, aligned(expression, covered, resolution), resolution.name);
        const pairs = all.filter(({ series, time }) => whole.has(`${series} ${time}`));
        compared += pairs.length;
        const errors = pairs.map(errorOf);
        largestRateError = errors.reduce((most, error) => Math.max(most, error), largestRateError);
        const wrong = pairs.filter((pair) => !(errorOf(pair) <= MOST_RATE_ERROR));
        if (wrong.length > 0) problems.push(describe(expression, resolution, wrong, pairs));
      }
    }
  }
  return { compared, largestRateError, problems };
}

/** Ends a millisecond before round times, as windows of coarse samples do. */
function aligned(expression: string, covered: number, { stepMs }: Resolution): Question {
  const step = Math.max(1, Math.floor(covered / stepMs / POINTS)) * stepMs;
  return { expression, startMs: START_MS + step - 1, endMs: START_MS + covered - 1, stepMs: step };
}

/**
 * Windows of a series with hardly a scrape missing. What a rate assumes of a gap at an edge depends on
 * the distance of samples, and is a guess at any resolution.
 */
async function wholeWindows(
  { url, parameters }: Place,
  question: Question,
  scale: Scale,
): Promise<Set<string>> {
  const count = { ...question, expression: `count_over_time(${question.expression})` };
  const { body } = await ask(url, count, { ...parameters, max_source_resolution: '0s' });
  const windowMs = parseDuration(/\[(\w+)\]/.exec(question.expression)![1]!);
  const least = (1 - MOST_MISSING) * (windowMs / scale.intervalMs);
  const whole = new Set<string>();
  for (const [series, samples] of seriesIn(body)) {
    for (const [time, value] of samples) {
      if (Number(value) >= least) whole.add(`${series} ${time}`);
    }
  }
  return whole;
}

interface Pair {
  readonly series: string;
  readonly time: number;
  readonly raw: string | undefined;
  readonly coarse: string | undefined;
}

async function pairsOf(
  { url, parameters }: Place,
  question: Question,
  resolution: string,
): Promise<Pair[]> {
  const raw = await ask(url, question, { ...parameters, max_source_resolution: '0s' });
  const coarse = await ask(url, question, { ...parameters, max_source_resolution: resolution });
  if (!coarse.body.includes(`windows of ${resolution}`)) {
    throw new Error(`${question.expression}: not answered from ${resolution} samples`);
  }
  const [wanted, found] = [seriesIn(raw.body), seriesIn(coarse.body)];
  return [...new Set([...wanted.keys(), ...found.keys()])].flatMap((series) => {
    const [a, b] = [new Map(wanted.get(series)), new Map(found.get(series))];
    return [...new Set([...a.keys(), ...b.keys()])].map((time) => ({
      series,
      time,
      raw: a.get(time) as string | undefined,
      coarse: b.get(time) as string | undefined,
    }));
  });
}

function errorOf({ raw, coarse }: Pair): number {
  const [want, got] = [Number(raw), Number(coarse)];
  return want === got ? 0 : Math.abs(got - want) / Math.abs(want);
}

function describe(
  expression: string,
  { name }: Resolution,
  [first, ...others]: readonly Pair[],
  all: readonly Pair[],
): string {
  const { series, time, raw, coarse } = first!;
  return `${expression} at ${name}: ${others.length + 1} of ${all.length} differ: ${series} at ${time}: ${raw} became ${coarse}`;
}
