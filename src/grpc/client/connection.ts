import { connect } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { UnavailableError, messageOf } from '#/lib/errors.ts';
import type { Net } from '#/lib/net.ts';
import type { Random } from '#/lib/random.ts';

export interface ConnectionOptionsOfChannel {
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  /** `host:port`. */
  readonly address: string;
  /** Asked before every connection, so that renewed files count; its `servername` defaults to the host. */
  readonly tls?: () => ConnectionOptions | Promise<ConnectionOptions>;
  /** Default 20 s. */
  readonly connectTimeoutMs?: number;
  /** The longest wait between two attempts to connect. Default 5 s. */
  readonly maxBackoffMs?: number;
}

const STREAM_WINDOW_BYTES = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
const FIRST_BACKOFF_MS = 1000;
const BACKOFF_FACTOR = 1.6;
const BACKOFF_JITTER = 0.2;
const KEEPALIVE_AFTER_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 5000;

/**
 * The one HTTP/2 session of a channel: opened when somebody needs it, replaced when it breaks. After
 * a failed attempt there is none for a while that grows with every failure.
 */
export class Connection implements Disposable {
  readonly #options: ConnectionOptionsOfChannel;
  readonly #closed = new AbortController();
  #session: ClientHttp2Session | undefined;
  #opening: Promise<ClientHttp2Session> | undefined;
  #failures = 0;
  #retryAt = 0;
  #lastFailure = '';

  constructor(options: ConnectionOptionsOfChannel) {
    this.#options = options;
  }

  /**
   * The session to start a call on. An attempt to connect that is under way is waited for; within
   * the pause after a failed one, only callers with `waitForReady` wait.
   * @throws UnavailableError when the peer is out of reach.
   */
  async session(waitForReady: boolean, signal: AbortSignal): Promise<ClientHttp2Session> {
    for (;;) {
      signal.throwIfAborted();
      const open = this.#session;
      if (open !== undefined && !open.closed && !open.destroyed) return open;
      try {
        return await abortable(this.#openOnce(), signal);
      } catch (thrown) {
        if (signal.aborted || !waitForReady || this.#closed.signal.aborted) throw thrown;
        const pauseMs = Math.max(1, this.#retryAt - this.#options.clock.now());
        await this.#options.clock.sleep(pauseMs, signal);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#closed.abort(new UnavailableError(`${this.#options.address}: channel is closed`));
    this.#session?.destroy();
  }

  #openOnce(): Promise<ClientHttp2Session> {
    this.#closed.signal.throwIfAborted();
    const { clock, address } = this.#options;
    const waitMs = this.#retryAt - clock.now();
    if (this.#opening === undefined && waitMs > 0) {
      const text = `${address}: ${this.#lastFailure}; next attempt in ${Math.ceil(waitMs)} ms`;
      return Promise.reject(new UnavailableError(text));
    }
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #open(): Promise<ClientHttp2Session> {
    const { clock, address, connectTimeoutMs = 20_000 } = this.#options;
    using limit = deadline(clock, connectTimeoutMs, this.#closed.signal);
    try {
      const session = await abortable(this.#handshake(limit.signal), limit.signal);
      this.#failures = 0;
      this.#session = session;
      return session;
    } catch (thrown) {
      this.#closed.signal.throwIfAborted();
      this.#lastFailure = limit.expired
        ? `no connection within ${connectTimeoutMs} ms`
        : messageOf(thrown).trim();
      this.#pause();
      throw new UnavailableError(`${address}: ${this.#lastFailure}`, { cause: thrown });
    }
  }

  #pause(): void {
    const { clock, random, maxBackoffMs = 5000 } = this.#options;
    const plainMs = Math.min(maxBackoffMs, FIRST_BACKOFF_MS * BACKOFF_FACTOR ** this.#failures++);
    this.#retryAt = clock.now() + plainMs * (1 + BACKOFF_JITTER * (2 * random.next() - 1));
  }

  async #handshake(signal: AbortSignal): Promise<ClientHttp2Session> {
    const { net, address, tls } = this.#options;
    const plain = await net.dial(address, signal);
    signal.addEventListener('abort', () => plain.destroy(), { once: true });
    const stream = tls === undefined ? plain : await secure(plain, address, await tls());
    const session = connect(`${tls === undefined ? 'http' : 'https'}://${address}`, {
      createConnection: () => stream,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
      // In MB: the windows bound what is received, and nobody sends without a caller.
      maxSessionMemory: 4096,
      peerMaxConcurrentStreams: 2 ** 31 - 1,
    });
    await settled(session, stream);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    // Its streams learn of it themselves; the next call opens another session.
    session.on('error', () => undefined);
    return session;
  }

  /** Pings `session` until `idle` aborts, and breaks it when it does not answer. Never throws. */
  async keepAlive(session: ClientHttp2Session, idle: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (await passes(clock.sleep(KEEPALIVE_AFTER_MS, idle))) {
      if (session.destroyed) return;
      const answered = new AbortController();
      session.ping(() => answered.abort());
      const until = AbortSignal.any([answered.signal, idle]);
      if (await passes(clock.sleep(KEEPALIVE_TIMEOUT_MS, until))) {
        session.destroy(new Error(`no answer to a ping in ${KEEPALIVE_TIMEOUT_MS} ms`));
      }
    }
  }
}

/** Whether a sleep came to its end instead of being aborted. */
function passes(sleep: Promise<void>): Promise<boolean> {
  return sleep.then(
    () => true,
    () => false,
  );
}

/** Resolves when HTTP/2 is spoken on both sides. */
function settled(session: ClientHttp2Session, stream: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    session.once('error', reject);
    // A TLS alert after the handshake (a missing certificate) does not reach the session's listeners.
    stream.once('error', (error) => {
      stream.destroy();
      reject(error);
    });
    session.once('close', () => reject(new Error('connection closed during the handshake')));
    session.once('remoteSettings', () => {
      session.removeListener('error', reject);
      resolve();
    });
  });
}

function secure(plain: Duplex, address: string, options: ConnectionOptions): Promise<Duplex> {
  const host = address.slice(0, address.lastIndexOf(':')).replaceAll(/[[\]]/g, '');
  return new Promise((resolve, reject) => {
    const secured = connectTls({
      // A server name must not be an IP address; the certificate is checked against `host` anyhow.
      ...(/^[\d.]+$|:/.test(host) ? { host } : { servername: host }),
      ...options,
      socket: plain,
      ALPNProtocols: ['h2'],
    });
    secured.once('error', reject);
    secured.once('secureConnect', () => {
      secured.removeListener('error', reject);
      resolve(secured);
    });
  });
}

/** `promise`, unless `signal` aborts first. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
