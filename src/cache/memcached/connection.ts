import type { Duplex } from 'node:stream';
import { ServerError } from '../remote/server-error.ts';
import { ReplyReader } from './reply-reader.ts';

/** What a whole reply comes to. A refusal leaves the connection in order. */
type Reply<T> = { readonly result: T } | { readonly refusal: ServerError };

/** Takes what it can of a reply; `undefined` until it is whole. */
type Parse<T> = (reader: ReplyReader) => Reply<T> | undefined;

interface Waiting {
  /** Whether the reply is whole. */
  readonly take: () => boolean;
  readonly fail: (cause: unknown) => void;
}

/**
 * One connection to a Memcached server, in its text protocol: one request at a time, since a reply
 * that does not come must cost nobody but its own request. Any failure, the abort of a request
 * included, breaks the connection: what still arrives would be taken for the next reply.
 * Format: doc/protocol.txt in Memcached.
 */
export class Connection {
  readonly #stream: Duplex;
  readonly #maxValueBytes: number;
  readonly #reader = new ReplyReader();
  #waiting: Waiting | undefined;

  constructor(stream: Duplex, maxValueBytes: number) {
    this.#stream = stream;
    this.#maxValueBytes = maxValueBytes;
    stream.on('data', (piece: Buffer) => this.#received(piece));
    stream.on('error', (cause) => this.#broken(cause));
    stream.on('close', () => this.#broken(closed()));
    stream.on('end', () => this.close());
  }

  get isUsable(): boolean {
    return !this.#stream.destroyed;
  }

  close(): void {
    this.#stream.destroy();
  }

  /** The values that the server has, by key. */
  getMany(keys: readonly string[], signal: AbortSignal): Promise<Map<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    let open: { readonly key: string; readonly length: number } | undefined;
    return this.#request(`get ${keys.join(' ')}\r\n`, undefined, signal, (reader) => {
      for (;;) {
        if (open !== undefined) {
          const value = reader.block(open.length);
          if (value === undefined) return undefined;
          found.set(open.key, value);
          open = undefined;
        }
        const line = reader.line();
        if (line === undefined) return undefined;
        if (line === 'END') return { result: found };
        open = this.#valueHead(line);
      }
    });
  }

  /** @throws ServerError if the server does not keep the value. */
  set(key: string, value: Uint8Array, expires: number, signal: AbortSignal): Promise<void> {
    const head = `set ${key} 0 ${expires} ${value.length}\r\n`;
    return this.#request(head, value, signal, (reader) => {
      const line = reader.line();
      if (line === undefined) return undefined;
      if (line === 'STORED') return { result: undefined };
      const refusal = new ServerError(`"${line}" to a set`);
      if (!/^(NOT_STORED|SERVER_ERROR )/.test(line)) throw refusal;
      return { refusal };
    });
  }

  /** The servers of a cluster that tells them (ElastiCache), as `host:port`. */
  clusterNodes(signal: AbortSignal): Promise<string[]> {
    let length: number | undefined;
    let nodes: string[] | undefined;
    return this.#request('config get cluster\r\n', undefined, signal, (reader) => {
      if (length === undefined) {
        const line = reader.line();
        if (line === undefined) return undefined;
        const match = /^CONFIG cluster 0 (\d{1,6})$/.exec(line);
        if (match === null) throw new ServerError(`"${line}" to a question for the cluster`);
        length = Number(match[1]);
      }
      if (nodes === undefined) {
        const block = reader.block(length);
        if (block === undefined) return undefined;
        nodes = parseNodes(Buffer.from(block).toString());
      }
      return reader.line() === undefined ? undefined : { result: nodes };
    });
  }

  #valueHead(line: string): { readonly key: string; readonly length: number } {
    const match = /^VALUE (\S{1,250}) \d{1,10} (\d{1,10})$/.exec(line);
    const length = Number(match?.[2]);
    if (match === null) throw new ServerError(`"${line}" to a get`);
    if (length > this.#maxValueBytes) {
      throw new ServerError(
        `a value of ${length} bytes, where ${this.#maxValueBytes} are the most`,
      );
    }
    return { key: match[1]!, length };
  }

  #request<T>(
    head: string,
    body: Uint8Array | undefined,
    signal: AbortSignal,
    parse: Parse<T>,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const abort = () => this.#break(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      const settle = () => {
        signal.removeEventListener('abort', abort);
        this.#waiting = undefined;
      };
      this.#waiting = {
        take: () => {
          const parsed = parse(this.#reader);
          if (parsed === undefined) return false;
          settle();
          if ('result' in parsed) resolve(parsed.result);
          else reject(parsed.refusal);
          return true;
        },
        fail: (cause) => {
          settle();
          reject(cause as Error);
        },
      };
      if (!this.isUsable) this.#broken(closed());
      else this.#write(head, body);
    });
  }

  #write(head: string, body: Uint8Array | undefined): void {
    if (body === undefined) {
      this.#stream.write(head, 'latin1');
      return;
    }
    this.#stream.cork();
    this.#stream.write(head, 'latin1');
    this.#stream.write(body);
    this.#stream.write('\r\n');
    this.#stream.uncork();
  }

  #received(piece: Uint8Array): void {
    this.#reader.push(piece);
    try {
      const taken = this.#waiting?.take() ?? true;
      if (taken && this.#reader.hasMore) throw new ServerError('more than was asked for');
    } catch (thrown) {
      this.#break(thrown);
    }
  }

  #break(cause: unknown): void {
    this.#broken(cause);
    this.close();
  }

  #broken(cause: unknown): void {
    this.#waiting?.fail(cause);
  }
}

/** The second line has `host|ip|port` for each; the address goes before the name. */
function parseNodes(text: string): string[] {
  const [, nodes = ''] = text.split('\n');
  return nodes
    .trim()
    .split(' ')
    .map((node) => {
      const [name, ip, port] = node.split('|');
      if (port === undefined || !/^\d+$/.test(port)) {
        throw new ServerError(`"${node}" for a node of the cluster`);
      }
      return `${ip === '' ? name! : ip!}:${port}`;
    });
}

function closed(): Error {
  return Object.assign(new Error('the server closed the connection'), { code: 'ECONNRESET' });
}
