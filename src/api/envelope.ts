import {
  BadInputError,
  CorruptionError,
  LimitError,
  NotFoundError,
  UnavailableError,
  isAbort,
  messageOf,
} from '#/lib/errors.ts';
import type { HttpReply, HttpRequest, Route } from '#/http/server.ts';
import type { MissingEndpoint } from '#/query/partial-response.ts';
import { EvaluationError } from '#/promql/evaluation-error.ts';

/** What a handler answers: data, and what the user should know about it. */
export interface ApiResult {
  /** Any JSON value, or its text in pieces; `undefined` for a reply without content. */
  readonly data: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly warnings?: readonly string[];
  /** Which endpoints failed to contribute, and over which time. */
  readonly missing?: readonly MissingEndpoint[];
  /** PromQL's own notes. They do not make an answer incomplete. */
  readonly annotations?: readonly string[];
  /** What is worth knowing about a complete answer: the member `infos`, which Thanos has not. */
  readonly infos?: readonly string[];
}

/** JSON text that is already there, in pieces. */
export class JsonText {
  readonly pieces: Iterable<string>;

  constructor(pieces: Iterable<string>) {
    this.pieces = pieces;
  }
}

type ErrorType =
  | 'bad_data'
  | 'execution'
  | 'canceled'
  | 'timeout'
  | 'internal'
  | 'not_found'
  | 'unavailable';

/** Somebody asks for what a flag would have to allow. */
export class DisabledError extends Error {
  override readonly name = 'DisabledError';
}

/** CORS as Thanos answers it, on every reply of the API. */
export const corsHeaders = {
  'access-control-allow-headers': 'Accept, Accept-Encoding, Authorization, Content-Type, Origin',
  'access-control-allow-methods': 'GET, POST, OPTIONS',
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'Date',
};

/**
 * A route of `/api/v1`: `answer` gives data or throws; this wraps either into Prometheus's envelope.
 * An answer with warnings is incomplete, so nobody may keep it.
 */
export function apiRoute(
  methods: Route['methods'],
  path: string,
  handler: string,
  answer: (request: HttpRequest) => Promise<ApiResult>,
): Route {
  return {
    methods,
    path: `/api/v1${path}`,
    handler,
    handle: async (request) => {
      try {
        return success(await answer(request));
      } catch (thrown) {
        return failure(thrown);
      }
    },
  };
}

/** Routes as with `--web.disable-cors`: their replies have no CORS headers. */
export function withoutCors(routes: readonly Route[]): Route[] {
  return routes.map((route) => ({
    ...route,
    handle: async (request) => {
      const reply = await route.handle(request);
      const headers = Object.entries(reply.headers ?? {});
      const kept = headers.filter(([name]) => !Object.hasOwn(corsHeaders, name));
      return { ...reply, headers: Object.fromEntries(kept) };
    },
  }));
}

function success(result: ApiResult): HttpReply {
  const { data, warnings = [], missing = [], annotations = [], infos = [] } = result;
  if (data === undefined) {
    return { status: 204, headers: { ...corsHeaders, ...result.headers }, body: '' };
  }
  const notes = [...new Set([...warnings, ...annotations])];
  const isIncomplete = warnings.length > 0 || missing.length > 0;
  const members = [
    ...(notes.length === 0 ? [] : [`"warnings":${JSON.stringify(notes)}`]),
    ...(infos.length === 0 ? [] : [`"infos":${JSON.stringify(infos)}`]),
    ...(missing.length === 0 ? [] : [`"missing":${JSON.stringify(missing)}`]),
  ];
  const tail = `${members.map((member) => `,${member}`).join('')}}`;
  return {
    status: 200,
    contentType: 'application/json',
    headers: {
      ...corsHeaders,
      ...result.headers,
      ...(isIncomplete ? { 'cache-control': 'no-store' } : {}),
    },
    body:
      data instanceof JsonText
        ? inEnvelope(data.pieces, tail)
        : `{"status":"success","data":${JSON.stringify(data)}${tail}`,
  };
}

function* inEnvelope(pieces: Iterable<string>, tail: string): Generator<string, void> {
  yield '{"status":"success","data":';
  yield* pieces;
  yield tail;
}

function failure(thrown: unknown): HttpReply {
  const { status, errorType } = classify(thrown);
  return {
    status,
    contentType: 'application/json',
    headers: { ...corsHeaders, 'cache-control': 'no-store' },
    // A text may quote bytes that are no UTF-8.
    body: JSON.stringify({ status: 'error', errorType, error: messageOf(thrown).toWellFormed() }),
  };
}

/** The one table from kinds of failure to Prometheus's error types. */
function classify(thrown: unknown): { status: number; errorType: ErrorType } {
  if (thrown instanceof BadInputError) return { status: 400, errorType: 'bad_data' };
  if (thrown instanceof DisabledError) return { status: 503, errorType: 'unavailable' };
  if (thrown instanceof NotFoundError) return { status: 404, errorType: 'not_found' };
  if (
    thrown instanceof EvaluationError ||
    thrown instanceof LimitError ||
    thrown instanceof CorruptionError
  ) {
    return { status: 422, errorType: 'execution' };
  }
  if (isAbort(thrown)) {
    return {
      status: 503,
      errorType: (thrown as Error).name === 'TimeoutError' ? 'timeout' : 'canceled',
    };
  }
  if (thrown instanceof UnavailableError) return { status: 422, errorType: 'execution' };
  return { status: 500, errorType: 'internal' };
}
