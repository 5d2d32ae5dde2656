import { constants, performServerHandshake } from 'node:http2';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import type { Net } from '#/lib/net.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { Probe } from '#/telemetry/probe.ts';
import { healthService } from './health.ts';
import type { Service } from './method.ts';
import { reflectionServices } from './reflection.ts';
import { answerCall, refuseCall } from './server/call.ts';
import type { CallEnvironment, Route } from './server/call.ts';
import { serverMetrics } from './server/observe.ts';
import { tlsAcceptor } from './server/tls.ts';
import type { ServerTls } from './server/tls.ts';
import { SlabPool } from './slabs.ts';

export type { ServerTls } from './server/tls.ts';

export interface GrpcServerOptions {
  /** `host:port`. */
  readonly address: string;
  readonly services: readonly Service[];
  /** How long calls may take to end after the server was told to stop. */
  readonly gracePeriodMs: number;
  /** Connections are asked to go after this time, so that clients spread anew. Default: never. */
  readonly maxConnectionAgeMs?: number;
  readonly tls?: ServerTls;
  /** Default 2^31 − 1. */
  readonly maxMessageBytes?: number;
}

export interface GrpcServer extends AsyncDisposable {
  /** Where it listens, with the port that was chosen for `:0`. */
  readonly address: string;
}

interface Environment {
  readonly net: Net;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly probe: Probe;
}

const STREAM_WINDOW_BYTES = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

const sessionOptions = {
  settings: { initialWindowSize: STREAM_WINDOW_BYTES },
  // In MB. The default of 10 refuses streams as soon as a few answers wait for a slow client; each
  // stream is bounded by its own window and outbox instead.
  maxSessionMemory: 4096,
  // A querier that stops early at a limit or a timeout resets many streams, and means no harm.
  streamResetBurst: 10_000,
  streamResetRate: 1000,
};

/**
 * Serves gRPC, with health and reflection: calls over HTTP/2 without or with TLS. Disposing it takes
 * no more calls, waits for the running ones as long as the grace period, then cuts them.
 */
export async function serveGrpc(options: GrpcServerOptions, env: Environment): Promise<GrpcServer> {
  const closing = new AbortController();
  const health = healthService(env.probe, closing.signal);
  const services = [...options.services, health];
  const server = new Server([...services, ...reflectionServices(services)], options, env);
  const listener = await env.net.listen(options.address, (stream) => server.accept(stream));
  return {
    address: listener.address,
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      await server.close(options.gracePeriodMs);
      await listener[Symbol.asyncDispose]();
    },
  };
}

class Server {
  readonly #options: GrpcServerOptions;
  readonly #env: Environment;
  readonly #routes = new Map<string, Route>();
  readonly #services: ReadonlySet<string>;
  readonly #call: CallEnvironment;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Takes a stream to the point where HTTP/2 begins. */
  readonly #secure: (stream: Duplex) => void;
  #closing = false;

  constructor(services: readonly Service[], options: GrpcServerOptions, env: Environment) {
    this.#options = options;
    this.#env = env;
    this.#services = new Set(services.map((service) => service.fullName));
    const observe = serverMetrics(env.metrics);
    for (const service of services) {
      for (const [name, served] of service.methods) {
        const route = { served, observer: observe(service, served) };
        this.#routes.set(`/${service.fullName}/${name}`, route);
      }
    }
    const { maxMessageBytes = 2 ** 31 - 1, tls } = options;
    const open = (stream: Duplex) => this.#open(stream);
    this.#secure = tls === undefined ? open : tlsAcceptor(tls, env.log, open);
    this.#call = { clock: env.clock, log: env.log, slabs: new SlabPool(), maxMessageBytes };
  }

  /** Speaks HTTP/2 on a stream that a client opened. */
  accept(stream: Duplex): void {
    stream.on('error', () => undefined);
    if (this.#closing) {
      stream.destroy();
      return;
    }
    this.#secure(stream);
  }

  async close(gracePeriodMs: number): Promise<void> {
    this.#closing = true;
    const ends = Array.from(this.#sessions, (session) => {
      const closed = new Promise((resolve) => session.once('close', resolve));
      session.close();
      return closed;
    });
    using grace = deadline(this.#env.clock, gracePeriodMs);
    const cut = () => {
      for (const session of this.#sessions) session.destroy();
    };
    grace.signal.addEventListener('abort', cut, { once: true });
    await Promise.all(ends);
  }

  #open(stream: Duplex): void {
    const session = performServerHandshake(stream, sessionOptions);
    this.#sessions.add(session);
    const age = this.#limitAge(session);
    session.on('close', () => {
      age.abort();
      this.#sessions.delete(session);
    });
    // Its streams learn of it themselves; there is nobody else to tell.
    session.on('error', () => undefined);
    session.on('stream', (call, headers) => this.#route(call, headers));
    session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
  }

  #route(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const problem = protocolProblem(headers);
    if (problem !== undefined) {
      stream.on('error', () => undefined);
      stream.respond({ ':status': problem }, { endStream: true });
      stream.close(constants.NGHTTP2_NO_ERROR);
      return;
    }
    const path = headers[':path'] ?? '';
    const route = this.#routes.get(path);
    if (route !== undefined) void answerCall(stream, headers, route, this.#call);
    else refuseCall(stream, headers, this.#unknown(path));
  }

  #unknown(path: string): string {
    const [, service = '', method = ''] = path.split('/');
    return this.#services.has(service)
      ? `unknown method ${method} for service ${service}`
      : `unknown service ${service}`;
  }

  #limitAge(session: ServerHttp2Session): AbortController {
    const stop = new AbortController();
    const { maxConnectionAgeMs } = this.#options;
    if (maxConnectionAgeMs !== undefined) {
      this.#env.clock.sleep(maxConnectionAgeMs, stop.signal).then(
        () => session.close(),
        () => undefined,
      );
    }
    return stop;
  }
}

/** The HTTP status for a request that is no gRPC call. */
function protocolProblem(headers: IncomingHttpHeaders): number | undefined {
  if (headers[':method'] !== 'POST') return 405;
  const type = headers['content-type'];
  return type?.startsWith('application/grpc') === true ? undefined : 415;
}
