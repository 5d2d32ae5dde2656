import { Readable } from 'node:stream';
import compress from '@fastify/compress';
import formbody from '@fastify/formbody';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { messageOf } from '#/lib/errors.ts';
import type { Net } from '#/lib/net.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { Probe } from '#/telemetry/probe.ts';
import { http } from './node-http.ts';
import { Params } from './params.ts';

/** What a handler sees of a request. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  /** Values of `:name` in the route's path, percent-decoded. */
  readonly pathParams: Readonly<Record<string, string>>;
  readonly params: Params;
  header(name: string): string;
  /** The address of who is at the other end of the connection; a proxy's, where there is one. */
  readonly peer: string;
  /** Aborts when the client goes away before the reply is done. */
  readonly signal: AbortSignal;
}

export interface HttpReply {
  readonly status: number;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream is sent as it comes; the client's pace holds it back. */
  readonly body: string | Uint8Array | Iterable<string> | AsyncIterable<string>;
}

export interface Route {
  readonly methods: readonly ('GET' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS')[];
  /** `/api/v1/label/:name/values`; `*` at the end takes everything below. */
  readonly path: string;
  /** The `handler` label of the request metrics. */
  readonly handler: string;
  /** Throws only for bugs: routes turn expected failures into replies. */
  handle(request: HttpRequest): Promise<HttpReply>;
}

export interface HttpServerOptions {
  /** `host:port`. */
  readonly address: string;
  /** How long requests may take to end after the server was told to stop. */
  readonly gracePeriodMs: number;
  readonly routes: readonly Route[];
}

export interface HttpServer extends AsyncDisposable {
  readonly address: string;
}

interface Environment {
  readonly net: Net;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly probe: Probe;
}

const COMPRESS_FROM_BYTES = 1024;
const BODY_LIMIT_BYTES = 10 * 1024 * 1024;
const DURATION_BUCKETS = [
  0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720,
];

/** No route has a schema: without these, validators and serializers are loaded for nothing. */
const noSchemas = {
  compilersFactory: { buildValidator: refuseSchema, buildSerializer: refuseSchema },
};

function refuseSchema(): never {
  throw new Error('broken invariant: routes have no schemas');
}

/** Serves the routes and what every component has: `/-/healthy`, `/-/ready`, `/metrics`. */
export async function serveHttp(options: HttpServerOptions, env: Environment): Promise<HttpServer> {
  const server = http.createServer();
  const app = fastify({
    serverFactory: (handler) => server.on('request', handler),
    bodyLimit: BODY_LIMIT_BYTES,
    exposeHeadRoutes: true,
    schemaController: noSchemas,
    routerOptions: { ignoreTrailingSlash: false, maxParamLength: 65_536 },
  });
  await app.register(formbody, { bodyLimit: BODY_LIMIT_BYTES });
  await app.register(compress, { threshold: COMPRESS_FROM_BYTES, encodings: ['gzip', 'identity'] });
  app.setNotFoundHandler((_, reply) =>
    reply.code(404).type('text/plain').send('404 page not found\n'),
  );
  app.setErrorHandler((thrown, request, reply) => {
    const status = (thrown as { statusCode?: number }).statusCode ?? 500;
    if (status >= 500) env.log.error('request failed', { path: request.url, err: thrown });
    return reply
      .code(status)
      .type('text/plain')
      .send(`${messageOf(thrown)}\n`);
  });
  observe(app, env.metrics);
  const running = new Set<Promise<void>>();
  for (const route of [...commonRoutes(env), ...options.routes]) addRoute(app, running, route);
  refuseOtherMethods(app, [...commonRoutes(env), ...options.routes]);
  await app.ready();
  const listener = await env.net.listen(options.address, (stream) =>
    server.emit('connection', stream),
  );
  env.log.info('listening for HTTP', { address: listener.address });
  return {
    address: listener.address,
    async [Symbol.asyncDispose]() {
      server.closeIdleConnections();
      await drained(running, options.gracePeriodMs);
      await app.close();
      await listener[Symbol.asyncDispose]();
    },
  };
}

/** Waits for the running requests, but no longer than the grace period. */
async function drained(running: Iterable<Promise<void>>, gracePeriodMs: number): Promise<void> {
  const done = Promise.allSettled(running);
  const { promise: timeUp, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, gracePeriodMs);
  await Promise.race([done, timeUp]);
  clearTimeout(timer);
}

function addRoute(app: FastifyInstance, running: Set<Promise<void>>, route: Route): void {
  app.route({
    method: [...route.methods],
    url: route.path,
    config: { handler: route.handler },
    handler: async (request, reply) => {
      const done = Promise.withResolvers<void>();
      running.add(done.promise);
      reply.raw.once('close', () => {
        running.delete(done.promise);
        done.resolve();
      });
      return send(reply, await route.handle(requestOf(request, reply)));
    },
  });
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** A known path that is asked for with a method it does not have: 405, and which ones it has. */
function refuseOtherMethods(app: FastifyInstance, routes: readonly Route[]): void {
  const known = routes.filter(({ path }) => !path.endsWith('*'));
  for (const [url, ofPath] of Map.groupBy(known, ({ path }) => path)) {
    const allowed = new Set<string>(ofPath.flatMap(({ methods }) => methods));
    app.route({
      method: METHODS.filter((method) => !allowed.has(method)),
      url,
      config: { handler: ofPath[0]!.handler },
      handler: (_, reply) =>
        reply
          .code(405)
          .header('allow', [...allowed].join(', '))
          .type('text/plain')
          .send('Method Not Allowed\n'),
    });
  }
}

function requestOf(request: FastifyRequest, reply: FastifyReply): HttpRequest {
  const url = new URL(request.url, 'http://localhost');
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new DOMException('client went away', 'AbortError'));
  });
  return {
    method: request.method,
    path: url.pathname,
    pathParams: request.params as Record<string, string>,
    params: new Params(url.searchParams, formOf(request.body)),
    header: (name) => String(request.headers[name.toLowerCase()] ?? ''),
    peer: request.ip,
    signal: gone.signal,
  };
}

/** The plugin parses a form to values and lists of values. */
function formOf(body: unknown): URLSearchParams | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(body)) {
    for (const text of Array.isArray(value) ? value : [value]) form.append(name, String(text));
  }
  return form;
}

function send(
  reply: FastifyReply,
  { status, contentType, headers = {}, body }: HttpReply,
): FastifyReply {
  reply.code(status).headers(headers);
  if (contentType !== undefined) reply.type(contentType);
  if (typeof body === 'string') return reply.send(body);
  if (body instanceof Uint8Array)
    return reply.send(Buffer.from(body.buffer, body.byteOffset, body.length));
  return reply.send(Readable.from(body, { objectMode: false }));
}

/** Thanos's request metrics. */
function observe(app: FastifyInstance, metrics: Metrics): void {
  const labels = ['code', 'handler', 'method'] as const;
  const total = metrics.counter({
    name: 'http_requests_total',
    help: 'HTTP requests answered.',
    labels,
  });
  const duration = metrics.histogram({
    name: 'http_request_duration_seconds',
    help: 'How long HTTP requests took.',
    labels,
    buckets: DURATION_BUCKETS,
  });
  const inflight = metrics.gauge({
    name: 'http_inflight_requests',
    help: 'HTTP requests being answered.',
    labels: ['handler', 'method'],
  });
  app.addHook('onRequest', (request, _, next) => {
    inflight.inc({ handler: handlerOf(request), method: request.method.toLowerCase() });
    next();
  });
  app.addHook('onResponse', (request, reply, next) => {
    const [handler, method] = [handlerOf(request), request.method.toLowerCase()];
    const values = { code: String(reply.statusCode), handler, method };
    inflight.dec({ handler, method });
    total.inc(values);
    duration.observe(values, reply.elapsedTime / 1000);
    next();
  });
}

function handlerOf(request: FastifyRequest): string {
  return (request.routeOptions.config as { handler?: string }).handler ?? 'unknown';
}

function commonRoutes({ metrics, probe }: Environment): Route[] {
  const text = (status: number, body: string): HttpReply => ({
    status,
    contentType: 'text/plain',
    body,
  });
  const check = (path: string, handler: string, passes: () => boolean): Route => ({
    methods: ['GET', 'POST'],
    path,
    handler,
    handle: () => {
      const reply = passes() ? text(200, 'OK') : text(503, `NOT OK: ${probe.reason}`);
      return Promise.resolve(reply);
    },
  });
  return [
    check('/-/healthy', 'healthy', () => probe.isHealthy),
    check('/-/ready', 'ready', () => probe.isReady && probe.isHealthy),
    {
      methods: ['GET'],
      path: '/metrics',
      handler: 'metrics',
      handle: async () => ({
        status: 200,
        contentType: 'text/plain; version=0.0.4; charset=utf-8',
        body: await metrics.text(),
      }),
    },
  ];
}
