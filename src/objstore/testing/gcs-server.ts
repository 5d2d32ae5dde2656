import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemClock } from '#/lib/clock.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { damaged } from './s3-server.ts';
import type { Misbehaviour, SeenRequest } from './s3-server.ts';

interface Stored {
  readonly bytes: Buffer;
  readonly generation: number;
  readonly modifiedMs: number;
}

interface Session {
  readonly name: string;
  readonly query: URLSearchParams;
  bytes: Buffer;
  isDone: boolean;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

const STEP_BYTES = 256 * 1024;

/**
 * A server of Google Cloud Storage's JSON API in this process, with the one bucket `bucket`. It
 * checks conditions, checksums and the rules of resumable uploads, and answers wrongly when a test
 * says so. With `token` set it takes only that bearer token, which it also gives out at `/token`.
 */
export class GcsServer implements AsyncDisposable {
  /** Asked for every request; `undefined` answers it properly. */
  misbehave: (request: SeenRequest) => Misbehaviour | undefined = () => undefined;
  readonly requests: SeenRequest[] = [];
  /** Resumable uploads that have been neither finished nor cancelled. */
  readonly unfinished = new Map<string, Session>();
  pageSize = 1000;
  token: string | undefined;
  /** How much of a part a resumable upload keeps at most; the rest must be sent again. */
  keptBytes = Number.POSITIVE_INFINITY;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #objects = new Map<string, Stored>();
  #sessions = new Map<string, Session>();
  #generation = 1_700_000_000_000_000;

  static async start(): Promise<GcsServer> {
    const server = new GcsServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  clear(): void {
    this.#objects.clear();
    this.#sessions = new Map();
    this.unfinished.clear();
    this.requests.length = 0;
    this.misbehave = () => undefined;
    this.token = undefined;
    this.keptBytes = Number.POSITIVE_INFINITY;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'http://x');
    const { method = '', headers } = incoming;
    const seen: SeenRequest = { method, path: url.pathname, query: url.searchParams, headers };
    this.requests.push(seen);
    const fault = this.misbehave(seen);
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      if (fault?.kind === 'hang') return;
      if (fault?.kind === 'reset') return void response.destroy();
      const answer =
        fault?.kind === 'status'
          ? refusal(fault.status, fault.code ?? 'injected', 'the test server says so', fault)
          : this.#answer(seen, Buffer.concat(chunks));
      if (fault?.kind === 'lose-reply') return void response.destroy();
      const { body = Buffer.alloc(0) } = answer;
      response.writeHead(answer.status, { ...answer.headers, 'content-length': body.length });
      if (fault?.kind === 'damage') return void response.end(damaged(body, fault.at));
      if (fault?.kind !== 'truncate' || fault.bytes >= body.length) return void response.end(body);
      response.write(body.subarray(0, fault.bytes), () => {
        if (fault.close) response.destroy();
      });
    } catch {
      response.destroy();
    }
  }

  #answer(request: SeenRequest, body: Buffer): Answer {
    const { method, path, query, headers } = request;
    if (path === '/token') return this.#giveToken();
    if (this.token !== undefined && headers.authorization !== `Bearer ${this.token}`) {
      return refusal(401, 'authError', 'Invalid Credentials');
    }
    if (path.startsWith('/session/')) return this.#continue(path, request, body);
    const match = /^(\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?$/.exec(path);
    if (match === null) return refusal(404, 'notFound', 'Not Found');
    if (match[2] !== 'bucket') {
      return refusal(404, 'notFound', 'The specified bucket does not exist.');
    }
    if (match[1] !== undefined) return this.#upload(query, headers, body);
    if (match[3] === undefined) return this.#list(query);
    const name = decodeURIComponent(match[3]);
    return method === 'DELETE' ? this.#remove(name) : this.#get(name, request);
  }

  #giveToken(): Answer {
    return json(200, {
      access_token: this.token,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 3600,
    });
  }

  #upload(query: URLSearchParams, headers: IncomingMessage['headers'], body: Buffer): Answer {
    switch (query.get('uploadType')) {
      case 'media':
        return this.#store(query.get('name') ?? '', body, query);
      case 'multipart': {
        const [metadata, content] = splitMultipart(headers['content-type'] ?? '', body);
        const { name, crc32c: sum } = JSON.parse(metadata) as { name: string; crc32c?: string };
        if (sum !== undefined && sum !== checksum(content)) {
          return refusal(400, 'invalid', `Provided CRC32C "${sum}" doesn't match calculated`);
        }
        return this.#store(name, content, query);
      }
      case 'resumable': {
        const path = `/session/${this.#sessions.size + 1}`;
        const name = query.get('name') ?? '';
        const session = { name, query, bytes: Buffer.alloc(0), isDone: false };
        this.#sessions.set(path, session);
        this.unfinished.set(path, session);
        return { status: 200, headers: { location: this.url + path } };
      }
      default:
        return refusal(400, 'invalid', 'unknown uploadType');
    }
  }

  #continue(path: string, { method, headers }: SeenRequest, body: Buffer): Answer {
    const session = this.#sessions.get(path);
    if (session === undefined) return refusal(404, 'notFound', 'no such session');
    if (method === 'DELETE') {
      this.unfinished.delete(path);
      this.#sessions.delete(path);
      return { status: 499 };
    }
    if (session.isDone) return this.#resource(session.name);
    const [, start, end, total] =
      /^bytes (?:\*|(\d+)-(\d+))\/(\*|\d+)$/.exec(headers['content-range'] ?? '') ?? [];
    if (start !== undefined) {
      const isBad =
        Number(start) !== session.bytes.length ||
        Number(end) + 1 !== Number(start) + body.length ||
        (total === '*' && body.length % STEP_BYTES !== 0);
      if (isBad) return refusal(400, 'invalid', 'Invalid request: the range does not fit');
      session.bytes = Buffer.concat([session.bytes, body.subarray(0, this.keptBytes)]);
    }
    if (total !== undefined && session.bytes.length === Number(total)) {
      this.unfinished.delete(path);
      session.isDone = true;
      return this.#store(session.name, session.bytes, session.query);
    }
    const { length } = session.bytes;
    return { status: 308, headers: length === 0 ? {} : { range: `bytes=0-${length - 1}` } };
  }

  #store(name: string, bytes: Buffer, query: URLSearchParams): Answer {
    const wanted = query.get('ifGenerationMatch');
    if (wanted !== null && Number(wanted) !== (this.#objects.get(name)?.generation ?? 0)) {
      return refusal(412, 'conditionNotMet', 'At least one of the pre-conditions did not hold.');
    }
    this.#objects.set(name, {
      bytes,
      generation: ++this.#generation,
      modifiedMs: systemClock.now(),
    });
    return this.#resource(name);
  }

  #resource(name: string): Answer {
    const object = this.#objects.get(name);
    return object === undefined ? missing(name) : json(200, resourceOf(name, object));
  }

  #remove(name: string): Answer {
    return this.#objects.delete(name) ? { status: 204 } : missing(name);
  }

  #get(name: string, { query, headers }: SeenRequest): Answer {
    const object = this.#objects.get(name);
    if (query.get('alt') !== 'media') return this.#resource(name);
    // Contents are refused in plain text.
    if (object === undefined) {
      return { status: 404, body: Buffer.from(`No such object: bucket/${name}`) };
    }
    const { bytes, generation } = object;
    const wanted = query.get('ifGenerationMatch');
    if (wanted !== null && Number(wanted) !== generation) {
      return { status: 412, body: Buffer.from('Precondition Failed') };
    }
    const common = {
      'x-goog-generation': String(generation),
      'x-goog-hash': `crc32c=${checksum(bytes)}`,
    };
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
    if (range === null) return { status: 200, headers: common, body: bytes };
    const start = Number(range[1]);
    if (start >= bytes.length) {
      return { status: 416, body: Buffer.from('The requested range cannot be satisfied.') };
    }
    const end = range[2] === '' ? bytes.length : Math.min(bytes.length, Number(range[2]) + 1);
    return {
      status: 206,
      headers: { ...common, 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` },
      body: bytes.subarray(start, end),
    };
  }

  #list(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') ?? '';
    const after = Buffer.from(query.get('pageToken') ?? '', 'base64').toString();
    const found = new Map<string, Stored | undefined>();
    for (const name of [...this.#objects.keys()].sort(compareUtf8)) {
      if (!name.startsWith(prefix)) continue;
      const end = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
      const item = end === -1 ? name : name.slice(0, end + 1);
      if (compareUtf8(item, after) <= 0) continue;
      found.set(item, end === -1 ? this.#objects.get(name) : undefined);
    }
    const limit = Math.min(this.pageSize, Number(query.get('maxResults') ?? this.pageSize));
    const page = [...found].slice(0, limit);
    const items = page.flatMap(([name, object]) =>
      object === undefined ? [] : [resourceOf(name, object)],
    );
    const prefixes = page.flatMap(([name, object]) => (object === undefined ? [name] : []));
    const next = Buffer.from(page.at(-1)?.[0] ?? '').toString('base64');
    return json(200, {
      kind: 'storage#objects',
      ...(items.length === 0 ? {} : { items }),
      ...(prefixes.length === 0 ? {} : { prefixes }),
      ...(found.size > page.length ? { nextPageToken: next } : {}),
    });
  }
}

function resourceOf(name: string, { bytes, generation, modifiedMs }: Stored) {
  return {
    name,
    size: String(bytes.length),
    generation: String(generation),
    updated: new Date(modifiedMs).toISOString(),
    crc32c: checksum(bytes),
  };
}

function splitMultipart(contentType: string, body: Buffer): [metadata: string, content: Buffer] {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1] ?? '';
  const starts: number[] = [];
  const line = Buffer.from(`--${boundary}`);
  for (let at = body.indexOf(line); at !== -1; at = body.indexOf(line, at + 1)) starts.push(at);
  const [first, second] = [0, 1].map((i) => {
    const part = body.subarray(starts[i]!, starts[i + 1]! - 2);
    return part.subarray(part.indexOf('\r\n\r\n') + 4);
  });
  return [first!.toString(), second!];
}

function checksum(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32c(bytes));
  return sum.toString('base64');
}

function missing(name: string): Answer {
  return refusal(404, 'notFound', `No such object: bucket/${name}`);
}

function refusal(
  code: number,
  reason: string,
  message: string,
  { retryAfter }: { readonly retryAfter?: number } = {},
): Answer {
  const error = { code, message, errors: [{ domain: 'global', reason, message }] };
  const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  return json(code, { error }, headers);
}

function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const body = Buffer.from(JSON.stringify(value));
  return { status, headers: { 'content-type': 'application/json', ...headers }, body };
}
