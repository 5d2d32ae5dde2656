import { lookup, resolveSrv } from 'node:dns/promises';
import { createServer, connect as connectSocket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { BadInputError } from './errors.ts';

/** A listening address. `address` is what a peer dials, with the port that was chosen for `:0`. */
export interface Listener extends AsyncDisposable {
  readonly address: string;
}

export interface ServiceRecord {
  readonly host: string;
  readonly port: number;
}

/**
 * Byte streams between processes, and names. HTTP, HTTP/2 and TLS are spoken on top of the streams
 * by Node's own modules, so the in-memory network carries the very same protocols.
 */
export interface Net {
  /** `address` is `host:port`; an empty host means every interface. */
  listen(address: string, accept: (stream: Duplex) => void): Promise<Listener>;
  /** Rejects when nobody listens there or `signal` aborts first. */
  dial(address: string, signal?: AbortSignal): Promise<Duplex>;
  /** IP addresses of a host name, of both families; empty when the name does not exist. */
  resolve(host: string): Promise<string[]>;
  resolveService(name: string): Promise<ServiceRecord[]>;
}

export const nodeNet: Net = {
  listen: (address, accept) => {
    const { host, port } = splitAddress(address);
    return new Promise((resolve, reject) => {
      const open = new Set<Duplex>();
      const server = createServer({ noDelay: true }, (socket) => {
        open.add(socket);
        socket.on('close', () => open.delete(socket));
        accept(socket);
      });
      server.once('error', reject);
      server.listen({ port, ...(host === '' ? {} : { host }) }, () => {
        const bound = server.address() as AddressInfo;
        resolve({
          address: joinAddress(host === '' ? '127.0.0.1' : host, bound.port),
          [Symbol.asyncDispose]: () =>
            new Promise((closed) => {
              server.close(() => closed());
              for (const socket of open) socket.destroy();
            }),
        });
      });
    });
  },

  dial: (address, signal) => {
    const { host, port } = splitAddress(address);
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const socket = connectSocket({ host: host === '' ? '127.0.0.1' : host, port, noDelay: true });
      const abort = () => socket.destroy(signal?.reason as Error);
      signal?.addEventListener('abort', abort, { once: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        signal?.removeEventListener('abort', abort);
        socket.removeListener('error', reject);
        resolve(socket);
      });
    });
  },

  async resolve(host) {
    try {
      return (await lookup(host, { all: true })).map((found) => found.address);
    } catch (thrown) {
      if (isUnknownName(thrown)) return [];
      throw thrown;
    }
  },

  async resolveService(name) {
    try {
      return (await resolveSrv(name)).map((record) => ({ host: record.name, port: record.port }));
    } catch (thrown) {
      if (isUnknownName(thrown)) return [];
      throw thrown;
    }
  },
};

/** Splits `host:port` and `[v6]:port`. @throws BadInputError if there is no port. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new BadInputError(`address "${address}": want host:port with a port up to 65535`);
  }
  return { host: match[1] ?? match[2] ?? '', port };
}

export function joinAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function isUnknownName(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || !('code' in thrown)) return false;
  return thrown.code === 'ENOTFOUND' || thrown.code === 'ENODATA';
}
