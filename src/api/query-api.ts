import type { Gate } from '#/lib/gate.ts';
import { MemoryBudget } from '#/lib/memory-budget.ts';
import type { ProcessMemory } from '#/lib/process-memory.ts';
import { BadInputError } from '#/lib/errors.ts';
import { parseSecondsOrDuration } from '#/http/params.ts';
import type { Params } from '#/http/params.ts';
import type { HttpRequest } from '#/http/server.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { QueryEngine } from '#/promql/engine.ts';
import { parseMatchers } from '#/promql/parser.ts';
import { Completeness } from '#/query/partial-response.ts';
import type { Querier, QueryableOptions } from '#/query/querier.ts';
import type { QueryContext } from '#/storage/queryable.ts';
import { StoreStats } from '#/storeapi/store-stats.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import type { SlowQueryLog } from './slow-query-log.ts';

/** What the query endpoints work with: the engine, the data, and the defaults of the flags. */
export interface QueryApi {
  readonly engine: QueryEngine;
  readonly querier: Pick<Querier, 'queryable'>;
  /** Runs at most `--query.max-concurrent` queries at once. */
  readonly gate: Gate;
  readonly now: () => number;
  /** Bytes all queries together may hold, and each of them. */
  readonly memory: ProcessMemory;
  readonly queryMemoryBytes: number;
  readonly timeoutMs: number;
  /** Steps that a range query may have; 0 for any number. */
  readonly maxSteps: number;
  readonly slowQueries: SlowQueryLog;
  readonly replicaLabels: readonly string[];
  readonly algorithm: DedupAlgorithm;
  readonly partialResponse: boolean;
  readonly autoDownsampling: boolean;
  /** How long a sample counts when this resolution may be read. */
  readonly lookbackMs: (maxResolutionMs: number) => number;
  /** Step of a range query that names none, when its range is short. */
  readonly defaultStepMs: number;
  /** Range of label and series look-ups that name none; 0 for all time. */
  readonly metadataRangeMs: number;
  readonly tenantHeader: string;
  readonly defaultTenant: string;
}

/** The parameters that every endpoint over series takes. */
export function selectOptions(
  api: QueryApi,
  request: HttpRequest,
  maxResolutionMs: number,
): QueryableOptions {
  const { params } = request;
  const replicaLabels = params.texts('replicaLabels[]').flatMap((text) => text.split(','));
  return {
    dedup: params.boolean('dedup', true),
    replicaLabels: replicaLabels.length > 0 ? replicaLabels : api.replicaLabels,
    algorithm: api.algorithm,
    partialResponse: params.boolean('partial_response', api.partialResponse)
      ? PartialResponse.Warn
      : PartialResponse.Abort,
    storeMatchers: params.texts('storeMatch[]').map(parseMatchers),
    maxResolutionMs,
    tenant: tenantOf(api, request),
    requestId: request.header('X-Request-ID'),
    completeness: new Completeness(),
    storeStats: new StoreStats(),
  };
}

function tenantOf(api: QueryApi, request: HttpRequest): string {
  return request.header(api.tenantHeader) || request.header('THANOS-TENANT') || api.defaultTenant;
}

/**
 * `max_source_resolution`: `auto`, or a duration. Without it, `--query.auto-downsampling` decides
 * whether a fifth of the step is allowed.
 */
export function maxResolution(api: QueryApi, params: Params, stepMs: number): number {
  const text = params.text('max_source_resolution');
  if (text === 'auto' || (text === '' && api.autoDownsampling)) return Math.floor(stepMs / 5);
  if (text === '') return 0;
  const resolution = prefixed("'max_source_resolution' parameter: ", () =>
    parseSecondsOrDuration(text),
  );
  if (resolution < 0) {
    throw new BadInputError(
      "negative 'max_source_resolution' is not accepted. Try a positive integer",
    );
  }
  return resolution;
}

/** The `lookback_delta` parameter; without it what the flags say for this resolution. */
export function lookback(api: QueryApi, params: Params, maxResolutionMs: number): number {
  const given = params.durationMs('lookback_delta', "'lookback_delta' parameter: ");
  return given ?? api.lookbackMs(maxResolutionMs);
}

/** A share of memory for one query. */
export function queryBudget({ memory, queryMemoryBytes }: QueryApi): MemoryBudget {
  const flag = '--query.memory-limit';
  return new MemoryBudget({ what: 'query', limitBytes: queryMemoryBytes, flag, process: memory });
}

/** Runs `work` as one query: with a deadline, a share of memory, and a place in the queue. */
export async function asQuery<T>(
  api: QueryApi,
  request: HttpRequest,
  work: (context: QueryContext) => Promise<T>,
): Promise<T> {
  const { params, signal } = request;
  const timeoutMs = Math.min(params.durationMs('timeout') ?? api.timeoutMs, api.timeoutMs);
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    deadline.abort(new DOMException('query timed out in expression evaluation', 'TimeoutError'));
  }, timeoutMs);
  const cancel = () => {
    deadline.abort(new DOMException('query was canceled in expression evaluation', 'AbortError'));
  };
  signal.addEventListener('abort', cancel, { once: true });
  using budget = queryBudget(api);
  try {
    const context = { signal: deadline.signal, budget };
    return await api.gate.run(deadline.signal, () => work(context), clientOf(api, request));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
  }
}

/** Whose queries wait in one line: those of one tenant from one address. */
function clientOf(api: QueryApi, request: HttpRequest): string {
  return `${tenantOf(api, request)} ${request.peer}`;
}

/** `match[]`: any of several selectors. */
export function matcherSets(params: Params): (readonly Matcher[])[] {
  return params.texts('match[]').map(parseMatchers);
}

/** Adds to the message of a `BadInputError` which parameter it is about. */
export function prefixed<T>(prefix: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof BadInputError)) throw thrown;
    throw new BadInputError(prefix + thrown.message, { cause: thrown });
  }
}
