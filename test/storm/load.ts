import { isDeepStrictEqual } from 'node:util';
import { HOURS, STEP_MS, roundSum } from './data.ts';

/** What became of the queries. */
export interface Tally {
  /** The whole and the right answer. */
  complete: number;
  /** Right as far as it goes, and says that something is missing. */
  partial: number;
  /** An error that says why. */
  failed: number;
  /** Neither the right answer nor a word about it. */
  wrong: number;
  /** No answer in time. */
  hung: number;
  slowestMs: number;
  /** What was wrong, for the report. */
  readonly faults: string[];
}

interface Query {
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  /** Whether every series of the answer can be checked although others are missing. */
  readonly bySeries: boolean;
}

interface Envelope {
  readonly status: string;
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly missing?: readonly unknown[];
  readonly data?: unknown;
}

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

const ANSWER_MS = 60_000;
/** Values rise by one a sample. */
const LOOKBACK_SAMPLES = 300_000 / STEP_MS;
const END = HOURS * 3600;

/** Asks a querier for the data of one provider and compares with what it answered in fair weather. */
export class Load {
  readonly tally: Tally = {
    complete: 0,
    partial: 0,
    failed: 0,
    wrong: 0,
    hung: 0,
    slowestMs: 0,
    faults: [],
  };
  readonly #url: string;
  readonly #provider: string;
  readonly #queries: readonly Query[];
  readonly #expected: unknown[] = [];
  /** Rounds whose block was seen: from then on it must not go missing in silence. */
  readonly #seen = new Set<number>();
  #roundChecks = 0;
  /** The last round that was uploaded. */
  round = 0;

  constructor(url: string, provider: string) {
    this.#url = url;
    this.#provider = provider;
    this.#queries = queriesOf(`provider="${provider}",round="base"`);
  }

  /** Takes down the right answers. @throws Error if one is incomplete. */
  async learn(): Promise<void> {
    this.#expected.length = 0;
    for (const query of this.#queries) {
      const answer = await this.#ask(query);
      if (!isWhole(answer)) throw new Error(`${this.#provider}: ${JSON.stringify(answer)}`);
      this.#expected.push(answer.data);
    }
  }

  /** Asks one after the other until `signal` aborts. */
  async run(signal: AbortSignal, first: number): Promise<void> {
    for (let i = first; !signal.aborted; i++) {
      const at = i % (this.#queries.length + 1);
      if (at < this.#queries.length) await this.#check(this.#queries[at]!, this.#expected[at]);
      else await this.#checkRound();
    }
  }

  async #check(query: Query, expected: unknown): Promise<void> {
    const answer = await this.#timed(query);
    if (answer === undefined) return;
    if (answer.status !== 'success') this.tally.failed++;
    else if (!isWhole(answer)) {
      const fault = query.bySeries ? faultOf(seriesOf(answer.data), seriesOf(expected)) : undefined;
      if (fault === undefined) this.tally.partial++;
      else this.#wrong(query, fault);
    } else if (isDeepStrictEqual(answer.data, expected)) this.tally.complete++;
    else this.#wrong(query, JSON.stringify(answer).slice(0, 300));
  }

  /** The newest block may not be known yet, but what is answered must be right. */
  async #checkRound(): Promise<void> {
    if (this.round === 0) return;
    const n = Math.max(1, this.round - (this.#roundChecks++ % 3));
    const selector = `m_total{provider="${this.#provider}",round="${n}"}`;
    const query = {
      path: 'query',
      params: { query: `sum(${selector})`, time: '3600' },
      bySeries: false,
    };
    const answer = await this.#timed(query);
    if (answer === undefined) return;
    if (answer.status !== 'success') this.tally.failed++;
    else if (!isWhole(answer)) this.tally.partial++;
    else {
      const { result } = answer.data as { result: { value: [number, string] }[] };
      const value = result[0]?.value[1];
      if (value === String(roundSum(n))) {
        this.#seen.add(n);
        this.tally.complete++;
      } else if (value === undefined && !this.#seen.has(n)) this.tally.complete++;
      else this.#wrong(query, `${value ?? 'nothing'} instead of ${roundSum(n)}`);
    }
  }

  #wrong({ params }: Query, what: string): void {
    this.tally.wrong++;
    if (this.tally.faults.length < 10) this.tally.faults.push(`${JSON.stringify(params)}: ${what}`);
  }

  /** `undefined` when there is no answer. */
  async #timed(query: Query): Promise<Envelope | undefined> {
    const start = performance.now();
    try {
      return await this.#ask(query);
    } catch (thrown) {
      this.tally.hung++;
      if (this.tally.faults.length < 10) this.tally.faults.push(String(thrown));
      return undefined;
    } finally {
      this.tally.slowestMs = Math.max(this.tally.slowestMs, performance.now() - start);
    }
  }

  async #ask({ path, params }: Query): Promise<Envelope> {
    const url = `${this.#url}/api/v1/${path}?${new URLSearchParams(params).toString()}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    return (await response.json()) as Envelope;
  }
}

function queriesOf(selector: string): Query[] {
  const range = (query: string, bySeries: boolean): Query => ({
    path: 'query_range',
    params: { query, start: '0', end: String(END), step: '300' },
    bySeries,
  });
  return [
    range(`m_total{${selector}}`, true),
    range(`sum by (parity) (rate(m_total{${selector}}[10m]))`, false),
    range(`m_total{${selector},id=~"1.*"}`, true),
    range(`max_over_time(m_total{${selector},id="7"}[1h])`, false),
    {
      path: 'query',
      params: { query: `count(m_total{${selector}})`, time: String(END / 2) },
      bySeries: false,
    },
    { path: 'label/id/values', params: { 'match[]': `m_total{${selector}}` }, bySeries: false },
  ];
}

function isWhole({ status, warnings = [], missing = [] }: Envelope): boolean {
  return status === 'success' && warnings.length + missing.length === 0;
}

function seriesOf(data: unknown): readonly Series[] {
  return (data as { readonly result: readonly Series[] }).result;
}

/**
 * What the found series have that cannot be: where samples are missing, an older one counts, but
 * none that there never was.
 */
function faultOf(found: readonly Series[], right: readonly Series[]): string | undefined {
  const rightOf = new Map(right.map((series) => [JSON.stringify(series.metric), series.values]));
  for (const { metric, values } of found) {
    const key = JSON.stringify(metric);
    const times = new Map(rightOf.get(key));
    const bad = values.find(([time, value]) => !isWithinLookback(Number(value), times.get(time)));
    if (bad !== undefined) return `${key} has ${bad[1]} at ${bad[0]}, not ${times.get(bad[0])}`;
  }
  return undefined;
}

function isWithinLookback(value: number, right: string | undefined): boolean {
  const behind = Number(right) - value;
  return Number.isInteger(behind) && behind >= 0 && behind < LOOKBACK_SAMPLES;
}
