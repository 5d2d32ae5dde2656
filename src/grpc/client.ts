import { constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { deadline } from '#/lib/deadline.ts';
import { CorruptionError, UnavailableError, messageOf } from '#/lib/errors.ts';
import { Connection } from './client/connection.ts';
import type { ConnectionOptionsOfChannel } from './client/connection.ts';
import type { CallOptions, Client, Method, ServiceDefinition } from './method.ts';
import { Status, StatusError, decodeStatusMessage, errorOfStatus } from './status.ts';
import { acceptEncoding, compressionOf } from './wire/compression.ts';
import type { Compression } from './wire/compression.ts';
import { Inbox } from './wire/inbox.ts';
import { MessageReader } from './wire/message-reader.ts';
import { formatTimeout } from './wire/timeout.ts';

export interface ChannelOptions extends ConnectionOptionsOfChannel {
  /** How requests are packed, and so how servers pack answers. Default `none`. */
  readonly compression?: 'none' | 'snappy' | 'gzip';
  /** Default 2^31 − 1. */
  readonly maxMessageBytes?: number;
}

/** What calls can be made on: one channel, or several that share the work. */
export interface Caller {
  /** What messages call the peer. */
  readonly address: string;
  unary<Request, Response>(
    path: string,
    method: Method<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): Promise<Response>;
  stream<Request, Response>(
    path: string,
    method: Method<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): AsyncIterable<Response[]>;
}

/**
 * Calls to one address over one HTTP/2 connection that is opened on demand and replaced when it
 * breaks. Failures are errors of lib/errors.ts or a `StatusError`, with the address in front; the
 * abort of a caller's signal stays what it is.
 */
export class Channel implements Caller, Disposable {
  readonly address: string;
  readonly #options: ChannelOptions;
  readonly #compression: Compression | undefined;
  readonly #connection: Connection;
  readonly #open = new WeakMap<ClientHttp2Session, OpenCalls>();

  constructor(options: ChannelOptions) {
    this.address = options.address;
    this.#options = options;
    this.#connection = new Connection(options);
    const { compression = 'none' } = options;
    this.#compression = compression === 'none' ? undefined : compressionOf(compression);
  }

  /** Makes sure of a connection. @throws UnavailableError when the peer is out of reach. */
  async connect(signal: AbortSignal): Promise<void> {
    await this.#connection.session(false, signal);
  }

  /** Sends one request and receives one answer. */
  async unary<Request, Response>(
    path: string,
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const responses: Response[] = [];
    for await (const batch of this.stream(path, method, request, options)) responses.push(...batch);
    if (responses.length === 1) return responses[0]!;
    throw new StatusError(
      Status.Internal,
      `${this.address}: ${path} answered with ${responses.length} messages, expected one`,
    );
  }

  /**
   * Sends one request and receives a stream, in batches of what has arrived. Leaving the loop early
   * cancels the call.
   */
  async *stream<Request, Response>(
    path: string,
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): AsyncGenerator<Response[], void> {
    const { signal: parent = never, timeoutMs } = options;
    using limit =
      timeoutMs === undefined ? undefined : deadline(this.#options.clock, timeoutMs, parent);
    const signal = limit?.signal ?? parent;
    const body = this.#frame(method.requestType.encode(request).finish());
    try {
      for (let attempt = 1; ; attempt++) {
        const call = await this.#start(path, body, options, signal);
        const outcome = yield* this.#receive(call, method, signal);
        if (outcome === 'ended') return;
        // A server that goes away refuses what it has not looked at: that is safe to send again.
        if (attempt > 1) throw new UnavailableError(`${this.address}: call was refused twice`);
      }
    } catch (thrown) {
      if (parent.aborted) throw parent.reason;
      if (signal.aborted) {
        throw new UnavailableError(`${this.address}: no answer within ${timeoutMs} ms`);
      }
      throw thrown;
    }
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }

  async #start(
    path: string,
    body: Buffer,
    options: CallOptions,
    signal: AbortSignal,
  ): Promise<ClientHttp2Stream> {
    const session = await this.#connection.session(options.waitForReady === true, signal);
    const stream = session.request(this.#headers(path, options));
    stream.end(body);
    this.#track(session, stream);
    return stream;
  }

  #headers(path: string, { metadata, timeoutMs }: CallOptions): Record<string, string> {
    return {
      ':method': 'POST',
      ':path': path,
      ':authority': this.address,
      te: 'trailers',
      'content-type': 'application/grpc',
      'user-agent': 'grpc-hindsight/1.0',
      'grpc-accept-encoding': acceptEncoding,
      ...(this.#compression === undefined ? {} : { 'grpc-encoding': this.#compression.name }),
      ...(timeoutMs === undefined ? {} : { 'grpc-timeout': formatTimeout(timeoutMs) }),
      ...metadata,
    };
  }

  #frame(message: Uint8Array): Buffer {
    const body = this.#compression?.compress(message) ?? message;
    const framed = Buffer.allocUnsafe(5 + body.length);
    framed[0] = this.#compression === undefined ? 0 : 1;
    framed.writeUInt32BE(body.length, 1);
    framed.set(body, 5);
    return framed;
  }

  #track(session: ClientHttp2Session, stream: ClientHttp2Stream): void {
    let open = this.#open.get(session);
    if (open === undefined) {
      open = { count: 0, idle: new AbortController() };
      this.#open.set(session, open);
    }
    if (open.count++ === 0) {
      open.idle = new AbortController();
      void this.#connection.keepAlive(session, open.idle.signal);
    }
    const calls = open;
    stream.once('close', () => {
      if (--calls.count === 0) calls.idle.abort();
    });
  }

  async *#receive<Request, Response>(
    stream: ClientHttp2Stream,
    method: Method<Request, Response>,
    signal: AbortSignal,
  ): AsyncGenerator<Response[], 'ended' | 'refused'> {
    const { maxMessageBytes = 2 ** 31 - 1 } = this.#options;
    const answer = new Answer(stream, this.address, maxMessageBytes);
    const abort = () => answer.cancel(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      const inbox = await answer.opened;
      for (let batch = await inbox.take(); batch !== undefined; batch = await inbox.take()) {
        yield this.#decode(method, batch);
      }
      return 'ended';
    } catch (thrown) {
      if (answer.wasRefused) return 'refused';
      throw thrown;
    } finally {
      signal.removeEventListener('abort', abort);
      answer.cancel(undefined);
    }
  }

  #decode<Request, Response>(
    method: Method<Request, Response>,
    batch: readonly Uint8Array[],
  ): Response[] {
    try {
      return batch.map((message) => method.responseType.decode(message));
    } catch (cause) {
      const text = `${this.address}: ${method.name} answer: ${messageOf(cause)}`;
      throw new CorruptionError(text, { cause });
    }
  }
}

/** Functions for the methods of a service, over `channel`. */
export function clientOf<D extends ServiceDefinition>(definition: D, channel: Caller): Client<D> {
  const stubs: Record<string, unknown> = {};
  for (const [key, method] of Object.entries(definition.methods)) {
    const path = `/${definition.fullName}/${method.name}`;
    stubs[key] = method.responseStream
      ? (request: unknown, options?: CallOptions) =>
          oneByOne(channel.stream(path, method, request, options))
      : (request: unknown, options?: CallOptions) => channel.unary(path, method, request, options);
  }
  // Every key of the definition has just got its function.
  return stubs as Client<D>;
}

async function* oneByOne<T>(batches: AsyncIterable<T[]>): AsyncGenerator<T, void> {
  for await (const batch of batches) yield* batch;
}

/** The calls that are open on a session; while there are any, it is kept alive. */
interface OpenCalls {
  count: number;
  idle: AbortController;
}

/** For calls without a signal. */
const never = new AbortController().signal;

/** One call's answer, from its headers to its trailers. */
class Answer {
  /** The messages, once headers have come. Rejects if the call fails before. */
  readonly opened: Promise<Inbox>;
  readonly #stream: ClientHttp2Stream;
  readonly #address: string;
  #inbox: Inbox | undefined;
  #failure: Error | undefined;
  #headers: IncomingHttpHeaders | undefined;
  #trailers: IncomingHttpHeaders | undefined;
  #canceled: { readonly reason: unknown } | undefined;

  constructor(stream: ClientHttp2Stream, address: string, maxMessageBytes: number) {
    this.#stream = stream;
    this.#address = address;
    const opened = Promise.withResolvers<Inbox>();
    this.opened = opened.promise;
    stream.on('response', (headers) => {
      this.#headers = headers;
      try {
        opened.resolve(this.#open(headers, maxMessageBytes));
      } catch (thrown) {
        opened.reject(thrown);
        this.cancel(undefined);
      }
    });
    stream.on('trailers', (trailers) => (this.#trailers = trailers));
    stream.on('error', (error) => (this.#failure = error));
    stream.on('close', () => {
      const failure = this.#outcome();
      if (this.#inbox === undefined) opened.reject(failure ?? this.#broken('no headers came'));
      else if (failure === undefined) this.#inbox.end();
      else this.#inbox.fail(failure);
    });
  }

  /** Whether the server said that it has not looked at the call. */
  get wasRefused(): boolean {
    return (
      this.#headers === undefined &&
      this.#canceled === undefined &&
      this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM
    );
  }

  /** Ends the call if it is not over; whoever still waits gets `reason`. */
  cancel(reason: unknown): void {
    if (this.#stream.closed || this.#stream.destroyed) return;
    this.#canceled = { reason };
    this.#inbox?.fail(reason);
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #open(headers: IncomingHttpHeaders, maxMessageBytes: number): Inbox {
    if (Number(headers[':status']) !== 200) {
      throw this.#broken(`found HTTP status ${String(headers[':status'])}, expected 200`);
    }
    const encoding = headers['grpc-encoding'];
    const compression = compressionOf(typeof encoding === 'string' ? encoding : undefined);
    this.#inbox = new Inbox(this.#stream, new MessageReader(compression, maxMessageBytes));
    return this.#inbox;
  }

  /** Why the call failed; `undefined` if it went well. */
  #outcome(): Error | undefined {
    if (this.#canceled !== undefined) return this.#canceled.reason as Error;
    const ends = this.#trailers ?? this.#headers;
    const status = ends?.['grpc-status'];
    if (status === undefined) {
      const { rstCode } = this.#stream;
      return this.#broken(
        this.#failure?.message ?? (rstCode === 0 ? 'no status came' : `reset with code ${rstCode}`),
      );
    }
    if (Number(status) === Status.OK) {
      return this.#inbox?.isMidMessage === true
        ? this.#broken('the last message is cut')
        : undefined;
    }
    const message = decodeStatusMessage(String(ends?.['grpc-message'] ?? ''));
    return errorOfStatus(Number(status), message, this.#address);
  }

  #broken(what: string): UnavailableError {
    return new UnavailableError(`${this.#address}: connection broke off: ${what}`, {
      cause: this.#failure,
    });
  }
}
