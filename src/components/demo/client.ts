/** One series of an answer: its labels and `[seconds, value]` pairs. */
export interface AnswerSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

export interface Answer {
  readonly series: readonly AnswerSeries[];
  readonly warnings: readonly string[];
}

export type QueryParams = Readonly<Record<string, string>>;

interface Envelope {
  readonly status: string;
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly data?: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly value?: readonly [number, string];
      readonly values?: readonly (readonly [number, string])[];
    }[];
  };
}

/** Asks a Prometheus-shaped API. @throws Error with its message when it answers with an error. */
export class QueryClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  instant(query: string, params: QueryParams = {}): Promise<Answer> {
    return this.#ask('query', { query, ...params });
  }

  /** Times and step in seconds. */
  range(
    query: string,
    { start, end, step }: { start: number; end: number; step: number },
    params: QueryParams = {},
  ): Promise<Answer> {
    const times = { start: String(start), end: String(end), step: String(step) };
    return this.#ask('query_range', { query, ...times, ...params });
  }

  async #ask(path: string, params: QueryParams): Promise<Answer> {
    const response = await fetch(`${this.#url}/api/v1/${path}`, {
      method: 'POST',
      body: new URLSearchParams(params),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    const body = JSON.parse(text) as Envelope;
    if (body.status !== 'success' || body.data === undefined) {
      throw new Error(`${params['query']}: ${response.status} ${body.error ?? text}`);
    }
    const series = body.data.result.map(({ metric, value, values }) => ({
      metric,
      values: values ?? (value === undefined ? [] : [value]),
    }));
    return { series, warnings: body.warnings ?? [] };
  }
}
