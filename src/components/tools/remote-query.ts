import { readAll, HttpClient } from '#/http/client.ts';
import { BadInputError, UnavailableError } from '#/lib/errors.ts';
import type { Answer } from './answer.ts';
import type { Runtime } from '../runtime.ts';

/** When a query is evaluated; without a step once, at the end. */
export interface QueryTimes {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number | undefined;
}

const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/** What is asked of an API: the answer, how it would be found, or how it was. */
export type Wanted = 'answer' | 'explain' | 'analyze';

/** Asks the Prometheus-compatible API at `url`. @throws BadInputError with its message if it refuses. */
export async function askUrl(
  url: string,
  { query, times, wanted }: { query: string; times: QueryTimes; wanted: Wanted },
  { net, clock, signal }: Pick<Runtime, 'net' | 'clock' | 'signal'>,
): Promise<Answer> {
  const { startMs, endMs, stepMs } = times;
  using client = new HttpClient({ net, clock, userAgent: 'hindsight-tools' });
  const params =
    stepMs === undefined
      ? { query, time: seconds(endMs) }
      : { query, start: seconds(startMs), end: seconds(endMs), step: seconds(stepMs) };
  const name = stepMs === undefined ? 'query' : 'query_range';
  const target = endpoint(url, wanted === 'explain' ? `${name}_explain` : name);
  const body = new URLSearchParams(params);
  if (wanted === 'analyze') body.set('analyze', 'true');
  const response = await client.send(
    {
      url: target,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: body.toString(),
    },
    signal,
  );
  const text = (await readAll(response, MAX_ANSWER_BYTES)).toString();
  const answer = parseAnswer(text, `${target.href}: ${response.statusText}`);
  if (answer.error !== undefined) throw new BadInputError(answer.error);
  const { data, warnings = [], infos = [] } = answer;
  return { data: data!, warnings, infos };
}

function endpoint(url: string, name: string): URL {
  if (!/^https?:\/\//.test(url)) {
    throw new BadInputError(`--url: expected http://host:port or https://host:port, got "${url}"`);
  }
  return new URL(`${url.replace(/\/+$/, '')}/api/v1/${name}`);
}

function parseAnswer(body: string, what: string): Partial<Answer> & { readonly error?: string } {
  try {
    return JSON.parse(body) as Partial<Answer>;
  } catch (cause) {
    throw new UnavailableError(`${what}: the answer is no JSON: ${body.slice(0, 200)}`, { cause });
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
