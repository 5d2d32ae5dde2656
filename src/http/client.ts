import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { LimitError, UnavailableError, messageOf } from '#/lib/errors.ts';
import type { Net } from '#/lib/net.ts';
import { http } from './node-http.ts';
import { dialTarget, proxyHeaders } from './client/dial.ts';
import type { DialOptions } from './client/dial.ts';

export interface HttpClientOptions extends DialOptions {
  readonly net: Net;
  readonly clock: Clock;
  /** Sent as `User-Agent`. */
  readonly userAgent: string;
  /** Asked before every request; the value of its `Authorization` header. */
  readonly authorization?: () => Promise<string | undefined>;
  /** Idle connections kept for each host. Default 2. */
  readonly maxIdlePerHost?: number;
  /** How long an idle connection is kept. Default 90 s. */
  readonly idleTimeoutMs?: number;
  /** For the headers of an answer, where a request has no time of its own. Default: no limit. */
  readonly responseTimeoutMs?: number;
  /** Asks for gzip unless false. */
  readonly compression?: boolean;
}

export interface HttpRequest {
  readonly url: URL;
  /** Default `GET`. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Until the answer's headers are there. Without it only the signal ends the wait. */
  readonly timeoutMs?: number;
  /** Whether sending it twice is harmless; only then is it sent again when a kept connection turns out closed. Default: `GET` is. */
  readonly repeatable?: boolean;
}

export interface HttpResponse {
  readonly status: number;
  /** As `404 Not Found`. */
  readonly statusText: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /**
   * The decompressed body, piece by piece. Reading to the end keeps the connection for the next
   * request; leaving the loop early closes it. One of the two must happen.
   * @throws UnavailableError if the connection breaks before the end.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * HTTP/1.1 over any `Net`: keeps connections, speaks TLS and through a proxy, undoes gzip. Whatever
 * keeps an answer from coming is an `UnavailableError` that names the URL; an abort of the caller's
 * signal stays what it is. A status is the caller's to judge.
 */
export class HttpClient implements Disposable {
  readonly #options: HttpClientOptions;
  readonly #agents: { readonly http: NetAgent; readonly https: NetAgent };

  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#agents = { http: new NetAgent('http:', options), https: new NetAgent('https:', options) };
  }

  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    signal.throwIfAborted();
    const what = `${request.method ?? 'GET'} ${printUrl(request.url)}`;
    try {
      const headers = await this.#headers(request);
      const message = await this.#exchange(request, headers, signal);
      return {
        status: message.statusCode ?? 0,
        statusText: `${message.statusCode} ${message.statusMessage}`,
        headers: message.headers,
        body: readBody(message, what, signal),
      };
    } catch (thrown) {
      throw failure(what, thrown, signal);
    }
  }

  /** Closes the idle connections; the open ones close with their answers. */
  [Symbol.dispose](): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  async #headers({ url, headers, body }: HttpRequest): Promise<Record<string, string>> {
    const authorization = await this.#options.authorization?.();
    return {
      ...(this.#isProxied(url) ? proxyHeaders(this.#options.proxy!) : {}),
      'user-agent': this.#options.userAgent,
      ...(this.#options.compression === false ? {} : { 'accept-encoding': 'gzip' }),
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
      ...headers,
    };
  }

  /** A server may close a kept connection in the very moment we use it; that is no failure of the server. */
  async #exchange(
    request: HttpRequest,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { method = 'GET', repeatable = method === 'GET' } = request;
    for (;;) {
      const sent = this.#start(request, method, headers);
      try {
        return await this.#answer(sent, request, signal);
      } catch (thrown) {
        if (!sent.reusedSocket || !repeatable || !isReset(thrown)) throw thrown;
      }
    }
  }

  #start({ url, body }: HttpRequest, method: string, headers: Record<string, string>) {
    const agent = url.protocol === 'https:' ? this.#agents.https : this.#agents.http;
    const sent = http.request({
      agent,
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      path: this.#isProxied(url) ? url.href : url.pathname + url.search,
      method,
      headers,
    });
    sent.end(body);
    return sent;
  }

  /** Requests inside TLS go through a tunnel instead, which the proxy cannot read. */
  #isProxied(url: URL): boolean {
    return url.protocol === 'http:' && this.#options.proxy !== undefined;
  }

  async #answer(
    sent: ClientRequest,
    { timeoutMs = this.#options.responseTimeoutMs }: HttpRequest,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    using limit =
      timeoutMs === undefined ? undefined : deadline(this.#options.clock, timeoutMs, signal);
    const until = limit?.signal ?? signal;
    const abort = () => sent.destroy(until.reason as Error);
    until.addEventListener('abort', abort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        sent.once('response', resolve);
        sent.on('error', reject);
        if (until.aborted) abort();
      });
    } finally {
      until.removeEventListener('abort', abort);
    }
  }
}

/** @throws LimitError when the body is longer than `limitBytes`. */
export async function readAll(response: HttpResponse, limitBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of response.body) {
    sizeBytes += piece.length;
    if (sizeBytes > limitBytes) {
      throw new LimitError(`the answer is longer than the limit of ${limitBytes} bytes`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces, sizeBytes);
}

async function* readBody(
  message: IncomingMessage,
  what: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const abort = () => message.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    for await (const piece of decompressed(message)) yield piece as Uint8Array;
  } catch (thrown) {
    throw failure(`${what}: the answer broke off`, thrown, signal);
  } finally {
    signal.removeEventListener('abort', abort);
    if (!message.complete) message.destroy();
  }
}

function decompressed(message: IncomingMessage): Readable {
  if (message.headers['content-encoding'] !== 'gzip') return message;
  const gunzip = createGunzip();
  message.once('error', (cause) => gunzip.destroy(cause));
  return message.pipe(gunzip);
}

/** The caller's own abort as it is; everything else as something that may be better later. */
function failure(what: string, thrown: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  return new UnavailableError(`${what}: ${messageOf(thrown)}`, { cause: thrown });
}

/** Without user, password and query, which may be secret or long. */
function printUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

function isReset(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || !('code' in thrown)) return false;
  return thrown.code === 'ECONNRESET' || thrown.code === 'EPIPE';
}

/** Node's connection pool over our own way of dialling. */
class NetAgent extends http.Agent {
  readonly #options: HttpClientOptions;
  readonly protocol: string;
  readonly defaultPort: number;

  constructor(protocol: 'http:' | 'https:', options: HttpClientOptions) {
    const { maxIdlePerHost = 2, idleTimeoutMs = 90_000 } = options;
    super({ keepAlive: true, maxFreeSockets: maxIdlePerHost, timeout: idleTimeoutMs });
    this.#options = options;
    this.protocol = protocol;
    this.defaultPort = protocol === 'https:' ? 443 : 80;
  }

  override createConnection(...[target, done]: Parameters<Agent['createConnection']>): undefined {
    const { net, clock } = this.#options;
    const { host, port } = target as { host: string; port: number };
    dialTarget({ protocol: this.protocol, host, port }, this.#options, net, clock).then(
      (stream) => done?.(null, stream),
      (thrown: Error) => done?.(thrown, undefined as never),
    );
  }
}
