import type { BlockExtent, DeletionStatus } from '#/blocks/deletion-report.ts';
import type { DeletionRequest, NewDeletion } from '#/blocks/series-deletions.ts';
import { parseTime } from '#/http/params.ts';
import type { Params } from '#/http/params.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { parseMatchers } from '#/promql/parser.ts';
import { apiRoute, DisabledError } from './envelope.ts';
import type { ApiResult } from './envelope.ts';

/** Deletions of series in a bucket, as a component that may write to it offers them. */
export interface SeriesDeletionApi {
  /** Whether a flag allows all this. */
  readonly enabled: boolean;
  /** Checks what is asked for; nothing is written. */
  create(wanted: NewDeletion): DeletionRequest;
  put(request: DeletionRequest, signal: AbortSignal): Promise<void>;
  /** What it would take of which blocks. */
  preview(request: DeletionRequest, signal: AbortSignal): Promise<readonly BlockExtent[]>;
  list(signal: AbortSignal): Promise<DeletionList>;
  cancel(id: string, signal: AbortSignal): Promise<void>;
}

export interface DeletionList {
  readonly statuses: readonly DeletionStatus[];
  /** By id: what cannot be read, and why. */
  readonly unreadable: ReadonlyMap<string, string>;
}

const LIST_PATH = '/admin/tsdb/deletions';

/**
 * `POST|PUT /api/v1/admin/tsdb/delete_series` with Prometheus's parameters, answers and errors, and
 * besides these `dry_run`, `author` and `reason`; `GET` and `DELETE` of what was asked for.
 * Source: deleteSeries in web/api/v1/api.go of Prometheus.
 */
export function seriesDeletionRoutes(api: SeriesDeletionApi): Route[] {
  const guarded = (answer: (request: HttpRequest) => Promise<ApiResult>) => {
    return (request: HttpRequest) => {
      if (!api.enabled) return Promise.reject(new DisabledError('admin APIs disabled'));
      return answer(request);
    };
  };
  return [
    apiRoute(
      ['POST', 'PUT'],
      '/admin/tsdb/delete_series',
      'delete_series',
      guarded((request) => deleteSeries(api, request)),
    ),
    apiRoute(
      ['GET'],
      LIST_PATH,
      'series_deletions',
      guarded(async ({ signal }) => ({ data: listJson(await api.list(signal)) })),
    ),
    apiRoute(
      ['DELETE'],
      `${LIST_PATH}/:id`,
      'cancel_series_deletion',
      guarded(async ({ pathParams, signal }) => {
        await api.cancel(pathParams['id'] ?? '', signal);
        return { data: undefined };
      }),
    ),
  ];
}

async function deleteSeries(
  api: SeriesDeletionApi,
  { params, signal }: HttpRequest,
): Promise<ApiResult> {
  const selectors = params.texts('match[]');
  if (selectors.length === 0) throw new BadInputError('no match[] parameter provided');
  const mint = timeOf(params, 'start');
  const maxt = timeOf(params, 'end');
  for (const selector of selectors) invalid('match[]', () => parseMatchers(selector));
  const isDryRun = invalid('dry_run', () => params.boolean('dry_run', false));
  const [author, reason] = [params.text('author'), params.text('reason')];
  const request = api.create({ selectors, mint, maxt, author, reason });
  if (isDryRun) return { data: previewJson(request, await api.preview(request, signal)) };
  await api.put(request, signal);
  return { data: undefined, headers: { location: `/api/v1${LIST_PATH}/${request.id}` } };
}

function timeOf(params: Params, name: string): number | undefined {
  const text = params.text(name);
  if (text === '') return undefined;
  return invalid(name, () => {
    try {
      return parseTime(text);
    } catch (thrown) {
      throw new BadInputError(`invalid time value for '${name}': ${messageOf(thrown)}`);
    }
  });
}

/** Runs `read`, whose failure is one of that parameter. */
function invalid<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new BadInputError(`invalid parameter "${name}": ${messageOf(cause)}`, { cause });
  }
}

/** What a dry run answers, and `hindsight tools bucket delete-series` prints. */
export function previewJson(request: DeletionRequest, extents: readonly BlockExtent[]) {
  const blocks = extents.map(({ meta, series, samples, bytes }) => ({
    ulid: meta.ulid,
    minTime: meta.minTime,
    maxTime: meta.maxTime,
    resolution: meta.thanos?.downsample.resolution ?? 0,
    labels: meta.thanos?.labels ?? {},
    series,
    samples,
    bytes,
  }));
  const total = (of: 'samples' | 'bytes') => blocks.reduce((sum, block) => sum + block[of], 0);
  return {
    selectors: request.selectors,
    ...rangeJson(request),
    blocks,
    samples: total('samples'),
    bytes: total('bytes'),
  };
}

/** What a listing answers, and the tool prints. */
export function listJson({ statuses, unreadable }: DeletionList) {
  return {
    deletions: statuses.map(({ request, blocks, applied }) => ({
      id: request.id,
      selectors: request.selectors,
      ...rangeJson(request),
      created: timeJson(request.createdMs),
      author: request.author,
      reason: request.reason,
      state: applied === blocks ? 'applied' : 'pending',
      blocks,
      applied,
    })),
    unreadable: Array.from(unreadable, ([id, error]) => ({ id, error })),
  };
}

/** No `start` means all of the past. */
function rangeJson({ mint, maxt }: DeletionRequest) {
  return {
    ...(Number.isFinite(mint) ? { start: timeJson(mint) } : {}),
    end: timeJson(maxt),
  };
}

/** RFC 3339, or seconds where that has no form for them. */
function timeJson(ms: number): string | number {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? ms / 1000 : date.toISOString();
}
