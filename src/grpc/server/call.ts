import { constants } from 'node:http2';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { messageOf } from '#/lib/errors.ts';
import type { Log } from '#/telemetry/logger.ts';
import { MessageWriter } from '../message-writer.ts';
import type { Method, ServedMethod, ServerCall } from '../method.ts';
import type { SlabPool } from '../slabs.ts';
import { Status, StatusError, encodeStatusMessage, statusOf } from '../status.ts';
import { acceptEncoding, compressionOf } from '../wire/compression.ts';
import type { Compression } from '../wire/compression.ts';
import { Inbox } from '../wire/inbox.ts';
import { MessageReader } from '../wire/message-reader.ts';
import { parseTimeout } from '../wire/timeout.ts';
import type { CallObserver } from './observe.ts';
import { Outbox } from './outbox.ts';

/** A method with its counters. */
export interface Route {
  readonly served: ServedMethod;
  readonly observer: CallObserver;
}

export interface CallEnvironment {
  readonly clock: Clock;
  readonly log: Log;
  readonly slabs: SlabPool;
  readonly maxMessageBytes: number;
}

/** Answers one call from its headers to its trailers. Never throws: every failure is a status. */
export async function answerCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  route: Route,
  env: CallEnvironment,
): Promise<void> {
  const call = new Call(stream, headers);
  const startedAt = env.clock.now();
  route.observer.started();
  let code: number = Status.OK;
  try {
    using limit = callDeadline(headers, call, env.clock);
    await runMethod(call, limit?.signal ?? call.gone, route, env);
    call.finish(Status.OK, '');
  } catch (thrown) {
    code = call.fail(thrown);
    if (code === Status.Internal && !(thrown instanceof StatusError)) {
      route.observer.panicked();
      env.log.error('gRPC handler failed unexpectedly', { path: headers[':path'], err: thrown });
    }
  }
  route.observer.handled(code, (env.clock.now() - startedAt) / 1000);
}

/** Ends a call that no method takes. */
export function refuseCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  message: string,
): void {
  new Call(stream, headers).fail(new StatusError(Status.Unimplemented, message));
}

function callDeadline(headers: IncomingHttpHeaders, call: Call, clock: Clock) {
  const timeout = headers['grpc-timeout'];
  if (typeof timeout !== 'string') return undefined;
  return deadline(clock, parseTimeout(timeout), call.gone);
}

async function runMethod(
  call: Call,
  signal: AbortSignal,
  { served, observer }: Route,
  env: CallEnvironment,
): Promise<void> {
  const { method, handle } = served;
  const compression = compressionOf(call.header('grpc-encoding'));
  const inbox = call.open(new MessageReader(compression, env.maxMessageBytes));
  const context: ServerCall = { signal, metadata: (name) => call.header(name) };
  const request = method.requestStream
    ? decodeAll(inbox, method, observer)
    : await onlyRequest(inbox, method, observer, signal);
  const answer = handle(request, context);
  if (isIterable(answer)) {
    await sendAll(answer, { call, method, observer, env, compression, signal });
  } else {
    const response = await answer;
    signal.throwIfAborted();
    call.sendOnly(method.responseType.encode(response).finish(), compression);
    observer.sent(1);
  }
}

async function onlyRequest(
  inbox: Inbox,
  method: Method<unknown, unknown>,
  observer: CallObserver,
  signal: AbortSignal,
): Promise<unknown> {
  const messages = await inbox.take();
  signal.throwIfAborted();
  if (messages?.length !== 1) {
    const found = messages === undefined ? 'none' : 'several';
    throw new StatusError(Status.Internal, `found ${found} request messages, expected one`);
  }
  observer.received(1);
  return decodeRequest(method, messages[0]!);
}

async function* decodeAll(
  inbox: Inbox,
  method: Method<unknown, unknown>,
  observer: CallObserver,
): AsyncGenerator<unknown, void> {
  for (let batch = await inbox.take(); batch !== undefined; batch = await inbox.take()) {
    observer.received(batch.length);
    for (const message of batch) yield decodeRequest(method, message);
  }
}

function decodeRequest(method: Method<unknown, unknown>, bytes: Uint8Array): unknown {
  try {
    return method.requestType.decode(bytes);
  } catch (cause) {
    const text = `grpc: error unmarshalling request: ${messageOf(cause)}`;
    throw new StatusError(Status.Internal, text, { cause });
  }
}

interface Sending {
  readonly call: Call;
  readonly method: Method<unknown, unknown>;
  readonly observer: CallObserver;
  readonly env: CallEnvironment;
  readonly compression: Compression | undefined;
  readonly signal: AbortSignal;
}

/**
 * Sends an answer of many messages. The client's pace holds the handler back; small messages share
 * a slab as long as they come in one go, and leave at once when the handler lets others run.
 */
async function sendAll(responses: AsyncIterable<unknown>, sending: Sending): Promise<void> {
  const { call, method, observer, env, compression, signal } = sending;
  const outbox = new Outbox(call.stream);
  const sink = (bytes: Uint8Array, sent: () => void) => {
    call.sendHeaders(compression);
    outbox.write(bytes, sent);
  };
  const out = new MessageWriter(env.slabs, sink, compression);
  let flush: NodeJS.Immediate | undefined;
  try {
    for await (const response of responses) {
      signal.throwIfAborted();
      writeResponse(method, response, out);
      if (outbox.isFull) await outbox.drained();
      flush ??= setImmediate(() => {
        flush = undefined;
        out.flush();
      });
    }
    signal.throwIfAborted();
  } finally {
    if (flush !== undefined) clearImmediate(flush);
    out.close();
    observer.sent(out.messages);
  }
}

function writeResponse(
  { responseType }: Method<unknown, unknown>,
  response: unknown,
  out: MessageWriter,
): void {
  if (responseType.write === undefined) out.message(responseType.encode(response).finish());
  else responseType.write(response, out);
}

function isIterable(
  answer: Promise<unknown> | AsyncIterable<unknown>,
): answer is AsyncIterable<unknown> {
  return Symbol.asyncIterator in answer;
}

/** The stream of one call: its headers, its end, and whether the caller is still there. */
class Call {
  readonly stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #gone = new AbortController();
  #finished = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.stream = stream;
    this.#headers = headers;
    // A broken stream also closes, which is where it is dealt with.
    stream.on('error', () => undefined);
    stream.on('close', () => {
      if (!this.#finished) this.#gone.abort(new DOMException('call was canceled', 'AbortError'));
    });
  }

  /** Aborts when the caller cancels or its connection breaks. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return typeof value === 'string' ? value : value?.[0];
  }

  /** Starts receiving. */
  open(reader: MessageReader): Inbox {
    const inbox = new Inbox(this.stream, reader);
    this.stream.on('end', () => {
      if (inbox.isMidMessage) {
        inbox.fail(new StatusError(Status.Internal, 'request ends within a message'));
      }
      inbox.end();
    });
    this.stream.on('close', () => inbox.fail(this.gone.reason));
    return inbox;
  }

  sendHeaders(compression: Compression | undefined): void {
    if (this.stream.headersSent || this.stream.destroyed) return;
    this.stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-accept-encoding': acceptEncoding,
        ...(compression === undefined ? {} : { 'grpc-encoding': compression.name }),
      },
      { waitForTrailers: true },
    );
  }

  /** Sends the one message of a unary answer. */
  sendOnly(message: Uint8Array, compression: Compression | undefined): void {
    this.sendHeaders(compression);
    if (this.stream.destroyed) return;
    const body = compression?.compress(message) ?? message;
    const framed = Buffer.allocUnsafe(5 + body.length);
    framed[0] = compression === undefined ? 0 : 1;
    framed.writeUInt32BE(body.length, 1);
    framed.set(body, 5);
    this.stream.write(framed);
  }

  /** Ends the call with what was thrown; returns the code. */
  fail(thrown: unknown): number {
    const { code, message } = statusOf(thrown);
    this.finish(code, message);
    return code;
  }

  finish(code: number, message: string): void {
    const stream = this.stream;
    this.#finished = true;
    if (stream.destroyed || stream.closed) return;
    const trailers = {
      'grpc-status': String(code),
      ...(message === '' ? {} : { 'grpc-message': encodeStatusMessage(message) }),
    };
    if (stream.headersSent) {
      stream.once('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end();
    } else {
      const head = { ':status': 200, 'content-type': 'application/grpc', ...trailers };
      stream.respond(head, { endStream: true });
    }
    this.#stopReceiving();
  }

  /**
   * What the caller still sends is of no use to anybody, so its stream is reset; but a moment after
   * the trailers, since a reset overtakes what has not left.
   */
  #stopReceiving(): void {
    const stream = this.stream;
    if (stream.readableEnded) return;
    stream.resume();
    stream.once('finish', () =>
      setImmediate(() => {
        if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
      }),
    );
  }
}
