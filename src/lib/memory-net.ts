import { Duplex } from 'node:stream';
import { joinAddress, splitAddress } from './net.ts';
import type { Listener, Net, ServiceRecord } from './net.ts';

/**
 * A network inside the process, with names of its own: for tests and the simulator. Streams carry
 * bytes in order, hold back a writer whose reader is slow, and break on both ends at once.
 */
export class MemoryNet implements Net {
  /** What `resolve` and `resolveService` answer. */
  readonly hosts = new Map<string, string[]>();
  readonly services = new Map<string, ServiceRecord[]>();
  readonly #accepts = new Map<string, (stream: Duplex) => void>();
  #nextPort = 40_000;

  listen(address: string, accept: (stream: Duplex) => void): Promise<Listener> {
    const { host, port } = splitAddress(address);
    const bound = joinAddress(
      host === '' ? '127.0.0.1' : host,
      port === 0 ? this.#nextPort++ : port,
    );
    if (this.#accepts.has(bound)) return Promise.reject(socketError('EADDRINUSE', 'listen', bound));
    const open = new Set<Duplex>();
    this.#accepts.set(bound, (stream) => {
      open.add(stream);
      stream.once('close', () => open.delete(stream));
      accept(stream);
    });
    return Promise.resolve({
      address: bound,
      [Symbol.asyncDispose]: async () => {
        this.#accepts.delete(bound);
        for (const stream of open) stream.destroy();
      },
    });
  }

  async dial(address: string, signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    const { host, port } = splitAddress(address);
    const accept = this.#accepts.get(joinAddress(host === '' ? '127.0.0.1' : host, port));
    if (accept === undefined) throw socketError('ECONNREFUSED', 'connect', address);
    const [near, far] = streamPair();
    accept(far);
    return near;
  }

  resolve(host: string): Promise<string[]> {
    return Promise.resolve(this.hosts.get(host) ?? []);
  }

  resolveService(name: string): Promise<ServiceRecord[]> {
    return Promise.resolve(this.services.get(name) ?? []);
  }
}

/** Two ends of one connection: what is written to one is read from the other. */
export function streamPair(): [Duplex, Duplex] {
  const near = new End();
  const far = new End();
  near.peer = far;
  far.peer = near;
  return [near, far];
}

class End extends Duplex {
  peer: End | undefined;
  /** Tells the writer on the other end that there is room again. */
  #resume: (() => void) | undefined;

  // Node's HTTP asks these of a socket; there is nothing to time, ping or keep a process alive for.
  setTimeout(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.peer!.#receive(chunk, done);
  }

  override _final(done: () => void): void {
    this.peer!.#receive(null, done);
  }

  override _destroy(cause: Error | null, done: (cause: Error | null) => void): void {
    done(cause);
    // The other end learns of it a moment later, as over a wire, and as a reset if words were cut.
    setImmediate(() => this.peer!.#hangUp(this.writableFinished));
  }

  #receive(chunk: Buffer | null, done: () => void): void {
    // A copy, since a writer may reuse its buffer once the write is done.
    const room = this.destroyed || this.push(chunk === null ? null : Buffer.from(chunk));
    if (room || chunk === null) done();
    else this.#resume = done;
  }

  #hangUp(orderly: boolean): void {
    if (this.destroyed) return;
    if (!orderly) this.destroy(socketError('ECONNRESET', 'read', 'peer'));
    else if (this.readableEnded) this.destroy();
    else this.once('end', () => this.destroy());
  }
}

function socketError(code: string, call: string, address: string): Error {
  return Object.assign(new Error(`${call} ${code} ${address}`), { code });
}
