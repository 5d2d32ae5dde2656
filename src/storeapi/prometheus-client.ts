import * as v from 'valibot';
import { parseYaml } from '#/config/yaml.ts';
import { readAll } from '#/http/client.ts';
import type { HttpClient, HttpRequest, HttpResponse } from '#/http/client.ts';
import {
  BadInputError,
  CorruptionError,
  LimitError,
  NotFoundError,
  UnavailableError,
  messageOf,
} from '#/lib/errors.ts';
import { Labels, isLegacyLabelName } from '#/model/labels.ts';
import { printMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { parseDuration } from '#/model/time.ts';
import type { ExemplarData } from '#/proto/exemplars.ts';
import type { Meta } from '#/proto/metadata.ts';
import type { RuleGroup } from '#/proto/rules.ts';
import type { TSDBStatisticsEntry } from '#/proto/status.ts';
import type { TargetDiscovery } from '#/proto/targets.ts';
import * as api from './prometheus/api-json.ts';
import type { ReadQuery } from './prometheus/read-codec.ts';
import { readAnswer, readRequest } from './prometheus/remote-read.ts';
import type { ReadAnswer } from './prometheus/remote-read.ts';

/** The flags of a Prometheus that matter to whoever stands beside it. */
export interface PrometheusFlags {
  readonly tsdbPath: string;
  readonly minBlockDurationMs: number;
  readonly maxBlockDurationMs: number;
  /** Where Prometheus looks for uploaded blocks before it compacts them; `''` when it does not. */
  readonly delayCompactFile: string;
  readonly adminApi: boolean;
  readonly lifecycle: boolean;
}

/** What a label or series look-up may see. Times are a closed range in milliseconds. */
export interface LookupRequest {
  readonly matchers: readonly Matcher[];
  readonly mint: number;
  readonly maxt: number;
  /** 0 for all. */
  readonly limit: number;
}

export interface RuntimeInfo {
  readonly reloadConfigSuccess: boolean;
  readonly lastConfigTime: string;
}

const JSON_LIMIT_BYTES = 256 * 1024 * 1024;
const METRICS_LIMIT_BYTES = 64 * 1024 * 1024;
const MESSAGE_LIMIT_BYTES = 1024 * 1024;

/**
 * The HTTP API of one Prometheus. Every failure names its URL: `UnavailableError` when it is down,
 * hangs up or fails itself, `BadInputError` and `NotFoundError` for its 400 and 404,
 * `CorruptionError` for an answer that cannot be one.
 */
export class PrometheusClient {
  readonly #http: HttpClient;
  readonly #base: URL;

  /** `url` may have a path prefix. */
  constructor(http: HttpClient, url: URL) {
    this.#http = http;
    this.#base = url;
  }

  /** The labels that it attaches to what it sends elsewhere; its configuration may change at any time. */
  async externalLabels(signal: AbortSignal): Promise<Labels> {
    const { yaml } = await this.#get('/api/v1/status/config', {}, api.configData, signal);
    const schema = v.object({
      global: v.optional(
        v.object({ external_labels: v.optional(v.record(v.string(), v.string()), {}) }),
        {},
      ),
    });
    const { global } = parseYaml(`configuration of ${this.#base.host}`, yaml, schema);
    return Labels.fromObject(global.external_labels ?? {});
  }

  /** `undefined` when it is too old to tell (before 2.2). */
  async flags(signal: AbortSignal): Promise<PrometheusFlags | undefined> {
    const flags = await this.#unlessMissing(
      this.#get('/api/v1/status/flags', {}, api.flagsData, signal),
    );
    if (flags === undefined) return undefined;
    const durationMs = (name: string) => parseDuration(flags[name] ?? '0');
    return {
      tsdbPath: flags['storage.tsdb.path'] ?? '',
      minBlockDurationMs: durationMs('storage.tsdb.min-block-duration'),
      maxBlockDurationMs: durationMs('storage.tsdb.max-block-duration'),
      delayCompactFile: flags['storage.tsdb.delay-compact-file.path'] ?? '',
      adminApi: flags['web.enable-admin-api'] === 'true',
      lifecycle: flags['web.enable-lifecycle'] === 'true',
    };
  }

  /** `0` when it is too old to tell (before 2.14). */
  async version(signal: AbortSignal): Promise<string> {
    const info = this.#get('/api/v1/status/buildinfo', {}, api.buildInfoData, signal);
    return (await this.#unlessMissing(info))?.version ?? '0';
  }

  /** The time of its oldest sample in milliseconds; `undefined` while it has none. */
  async lowestTimestamp(signal: AbortSignal): Promise<number | undefined> {
    const url = this.#url('/metrics', {});
    const response = await this.#send({ url }, signal);
    const text = (await readAll(response, METRICS_LIMIT_BYTES)).toString();
    const match = /^prometheus_tsdb_lowest_timestamp_seconds(?:\{[^}\n]*\})? (\S+)/m.exec(text);
    if (match === null) {
      throw new UnavailableError(
        `GET ${url.href}: there is no prometheus_tsdb_lowest_timestamp_seconds; is this a Prometheus?`,
      );
    }
    // An empty database says 2^63 - 1 ms, which its way through seconds and doubles has bent.
    const time = Math.trunc(Number(match[1]) * 1000);
    return time >= 9.2e18 ? undefined : time;
  }

  /** Label sets of the series that match, each `[name, value, …]` in any order. */
  async series(request: LookupRequest, signal: AbortSignal): Promise<string[][]> {
    const data = await this.#get('/api/v1/series', lookup(request), api.seriesData, signal);
    return (data ?? []).map((labels) => Object.entries(labels).flat());
  }

  async labelNames(request: LookupRequest, signal: AbortSignal): Promise<string[]> {
    return (await this.#get('/api/v1/labels', lookup(request), api.namesData, signal)) ?? [];
  }

  async labelValues(label: string, request: LookupRequest, signal: AbortSignal): Promise<string[]> {
    const path = `/api/v1/label/${escapeLabelName(label)}/values`;
    return (await this.#get(path, lookup(request), api.namesData, signal)) ?? [];
  }

  /** Rules of one type, or of both. */
  rules(type: 'alert' | 'record' | undefined, signal: AbortSignal): Promise<RuleGroup[]> {
    return this.#get('/api/v1/rules', type === undefined ? {} : { type }, api.rulesData, signal);
  }

  /** Targets in one state, or in both. */
  targets(state: 'active' | 'dropped' | undefined, signal: AbortSignal): Promise<TargetDiscovery> {
    const parameters = state === undefined ? {} : { state };
    return this.#get('/api/v1/targets', parameters, api.targetsData, signal);
  }

  /** Of one metric, or of all when `metric` is empty; a negative `limit` is none. */
  metadata(metric: string, limit: number, signal: AbortSignal): Promise<Record<string, Meta[]>> {
    const parameters = {
      ...(metric === '' ? {} : { metric }),
      ...(limit < 0 ? {} : { limit: String(limit) }),
    };
    return this.#get('/api/v1/metadata', parameters, api.metadataData, signal);
  }

  exemplars(
    query: string,
    mint: number,
    maxt: number,
    signal: AbortSignal,
  ): Promise<ExemplarData[]> {
    const parameters = { query, ...timeRange(mint, maxt) };
    return this.#get('/api/v1/query_exemplars', parameters, api.exemplarsData, signal);
  }

  /** Statistics of the head block; `limit` 0 leaves the number of entries to the server. */
  tsdbStatus(limit: number, signal: AbortSignal): Promise<TSDBStatisticsEntry> {
    const parameters = limit > 0 ? { limit: String(limit) } : {};
    return this.#get('/api/v1/status/tsdb', parameters, api.tsdbStatusData, signal);
  }

  runtimeInfo(signal: AbortSignal): Promise<RuntimeInfo> {
    return this.#get('/api/v1/status/runtimeinfo', {}, api.runtimeInfoData, signal);
  }

  async isReady(signal: AbortSignal): Promise<boolean> {
    const response = await this.#http.send({ url: this.#url('/-/ready', {}) }, signal);
    await readAll(response, MESSAGE_LIMIT_BYTES);
    return response.status === 200;
  }

  /** Makes it read its configuration and rules again. @throws UnavailableError also when it refuses them. */
  async reload(signal: AbortSignal): Promise<void> {
    const url = this.#url('/-/reload', {});
    const response = await this.#http.send({ url, method: 'POST' }, signal);
    const text = (await readAll(response, MESSAGE_LIMIT_BYTES)).toString().trim();
    if (response.status === 200) return;
    throw new UnavailableError(
      `POST ${url.href} answers ${response.statusText}: ${text}; have you set --web.enable-lifecycle on Prometheus?`,
    );
  }

  /**
   * Reads chunks (or samples, from servers that cannot stream) of the series that match.
   * @throws UnavailableError also from the batches, when the connection breaks or ends within a
   *   frame; CorruptionError when a frame is damaged, LimitError when one is too long.
   */
  async read(query: ReadQuery, signal: AbortSignal): Promise<ReadAnswer> {
    const request = readRequest(this.#url('/api/v1/read', {}), query);
    const response = await this.#send(request, signal);
    try {
      const answer = await readAnswer(response);
      if (answer.kind === 'samples') return answer;
      return { kind: 'chunks', batches: naming(request, answer.batches) };
    } catch (thrown) {
      throw named(request, thrown);
    }
  }

  async #get<S extends v.GenericSchema>(
    path: string,
    parameters: Readonly<Record<string, string>>,
    schema: S,
    signal: AbortSignal,
  ): Promise<v.InferOutput<S>> {
    const request = { url: this.#url(path, parameters) };
    const response = await this.#send(request, signal);
    const body = (await readAll(response, JSON_LIMIT_BYTES)).toString();
    try {
      return v.parse(schema, response.status === 204 ? undefined : parseReply(body));
    } catch (cause) {
      throw new CorruptionError(
        `${printRequest(request)}: the answer is not what the API promises: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  /** @throws when the status is not 2xx, with the message that the server gave. */
  async #send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const response = await this.#http.send(request, signal);
    if (response.status >= 200 && response.status < 300) return response;
    const body = (await readAll(response, MESSAGE_LIMIT_BYTES)).toString();
    const text = `${printRequest(request)} answers ${response.statusText}: ${errorIn(body)}`;
    if (response.status === 400) throw new BadInputError(text);
    if (response.status === 404 || response.status === 405) throw new NotFoundError(text);
    throw new UnavailableError(text);
  }

  async #unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
    try {
      return await answer;
    } catch (thrown) {
      if (thrown instanceof NotFoundError) return undefined;
      throw thrown;
    }
  }

  #url(path: string, parameters: Readonly<Record<string, string>>): URL {
    const url = new URL(this.#base);
    url.pathname = url.pathname.replace(/\/+$/, '') + path;
    for (const [name, value] of Object.entries(parameters)) url.searchParams.append(name, value);
    return url;
  }
}

function lookup({ matchers, mint, maxt, limit }: LookupRequest): Record<string, string> {
  return {
    ...(matchers.length === 0 ? {} : { 'match[]': `{${matchers.map(printMatcher).join(',')}}` }),
    ...timeRange(mint, maxt),
    ...(limit > 0 ? { limit: String(limit) } : {}),
  };
}

/** Times that the server can hold; it wraps around at larger ones, and without one means all of time. */
const FARTHEST_MS = 8.64e15;

/** In seconds, which never take the exponent form within these bounds. */
function timeRange(mint: number, maxt: number): Record<string, string> {
  return {
    ...(mint < -FARTHEST_MS ? {} : { start: String(mint / 1000) }),
    ...(maxt > FARTHEST_MS ? {} : { end: String(maxt / 1000) }),
  };
}

/**
 * A label name as a path segment: any name that PromQL would quote in the `U__` form, since the
 * server takes a `/` in the path for its own. Format: model.EscapeName in prometheus/common.
 */
function escapeLabelName(name: string): string {
  if (isLegacyLabelName(name)) return name;
  const escaped = Array.from(name, (char) => {
    if (char === '_') return '__';
    return /[a-zA-Z0-9]/.test(char) ? char : `_${char.codePointAt(0)!.toString(16)}_`;
  });
  return `U__${escaped.join('')}`;
}

/** `data` of a reply. */
function parseReply(body: string): unknown {
  const { status, data, error } = v.parse(replySchema, JSON.parse(body));
  if (status !== 'success') throw new UnavailableError(error ?? `status is "${status}"`);
  return data;
}

const replySchema = v.object({
  status: v.string(),
  data: v.optional(v.unknown()),
  error: v.optional(v.string()),
});

/** The message of an error reply, or its beginning when it is none of Prometheus's. */
function errorIn(body: string): string {
  try {
    return v.parse(v.object({ error: v.string() }), JSON.parse(body)).error;
  } catch {
    return body.trim().slice(0, 500);
  }
}

function printRequest({ method = 'GET', url }: HttpRequest): string {
  return `${method} ${url.origin}${url.pathname}`;
}

async function* naming<T>(
  request: HttpRequest,
  batches: AsyncIterable<T>,
): AsyncGenerator<T, void> {
  try {
    yield* batches;
  } catch (thrown) {
    throw named(request, thrown);
  }
}

/** The same kind of error with the request in front, unless that is there already. */
function named(request: HttpRequest, thrown: unknown): unknown {
  const prefix = printRequest(request);
  for (const Kind of [UnavailableError, CorruptionError, LimitError]) {
    if (!(thrown instanceof Kind) || thrown.message.startsWith(prefix)) continue;
    return new Kind(`${prefix}: ${thrown.message}`, { cause: thrown });
  }
  return thrown;
}
