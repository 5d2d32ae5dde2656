import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemClock } from '#/lib/clock.ts';
import { compareUtf8 } from '#/lib/utf8.ts';

interface Stored {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a test can make of a request instead of its answer. */
export type Misbehaviour =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly code?: string;
      readonly retryAfter?: number;
    }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** Closes the connection without an answer. */
  | { readonly kind: 'reset' }
  /** Does what is asked, and then closes the connection without an answer. */
  | { readonly kind: 'lose-reply' }
  /** Answers in full length and stops after so many bytes, closing the connection or not. */
  | { readonly kind: 'truncate'; readonly bytes: number; readonly close: boolean }
  /** Answers with another byte at this place. */
  | { readonly kind: 'damage'; readonly at: number };

/** A copy of `body` with another byte at this place. */
export function damaged(body: Buffer, at: number): Buffer {
  const copy = Buffer.from(body);
  if (at < copy.length) copy[at]! ^= 0x20;
  return copy;
}

export interface SeenRequest {
  readonly method: string;
  /** Decoded, with the bucket. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

/**
 * A server of the S3 protocol in this process, for what real ones cannot be made to do: it answers
 * wrongly when a test says so. Conditions are honoured, signatures only looked at for the key's name.
 */
export class S3Server implements AsyncDisposable {
  /** Asked for every request; `undefined` answers it properly. */
  misbehave: (request: SeenRequest) => Misbehaviour | undefined = () => undefined;
  readonly requests: SeenRequest[] = [];
  /** Uploads in parts that have been neither finished nor aborted. */
  readonly unfinished = new Map<string, Map<number, Buffer>>();
  pageSize = 1000;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #objects = new Map<string, Stored>();
  #uploads = 0;

  static async start(): Promise<S3Server> {
    const server = new S3Server();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  /** `host:port`. */
  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** The headers that an object of the bucket `bucket` was stored with. */
  headersOf(name: string): Readonly<Record<string, string>> {
    return this.#objects.get(name)?.headers ?? {};
  }

  clear(): void {
    this.#objects.clear();
    this.requests.length = 0;
    this.misbehave = () => undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'http://x');
    const seen: SeenRequest = {
      method: incoming.method ?? '',
      path: decodeURIComponent(url.pathname.slice(1)),
      query: url.searchParams,
      headers: incoming.headers,
    };
    this.requests.push(seen);
    const fault = this.misbehave(seen);
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      if (fault?.kind === 'hang') return;
      if (fault?.kind === 'reset') return void response.destroy();
      const answer =
        fault?.kind === 'status'
          ? failure(fault.status, fault.code ?? 'Injected', retryAfter(fault.retryAfter))
          : this.#answer(seen, Buffer.concat(chunks));
      if (fault?.kind === 'lose-reply') return void response.destroy();
      send(response, seen.method, answer, fault);
    } catch {
      response.destroy();
    }
  }

  #answer(request: SeenRequest, body: Buffer): Answer {
    if (!(request.headers.authorization ?? '').includes('Credential=key/')) {
      return failure(403, 'InvalidAccessKeyId');
    }
    const slash = request.path.indexOf('/');
    const bucket = slash === -1 ? request.path : request.path.slice(0, slash);
    const name = slash === -1 ? '' : request.path.slice(slash + 1);
    if (bucket !== 'bucket') return failure(404, 'NoSuchBucket');
    const md5 = request.headers['content-md5'];
    if (md5 !== undefined && md5 !== digest(body).toString('base64'))
      return failure(400, 'BadDigest');
    if (name === '') return this.#list(request.query);
    switch (request.method) {
      case 'PUT':
        return request.query.has('uploadId')
          ? this.#putPart(request.query, body)
          : this.#put(name, body, request);
      case 'POST':
        return request.query.has('uploads')
          ? this.#startParts()
          : this.#finishParts(name, request, body.toString());
      case 'DELETE':
        if (request.query.has('uploadId')) this.unfinished.delete(request.query.get('uploadId')!);
        else this.#objects.delete(name);
        return { status: 204 };
      default:
        return this.#get(name, request);
    }
  }

  #put(name: string, bytes: Buffer, { headers }: SeenRequest, etag?: string): Answer {
    const existing = this.#objects.get(name);
    if (headers['if-none-match'] === '*' && existing !== undefined) {
      return failure(412, 'PreconditionFailed');
    }
    const wanted = headers['if-match'];
    if (wanted !== undefined && existing === undefined) return failure(404, 'NoSuchKey');
    if (wanted !== undefined && existing?.etag !== wanted)
      return failure(412, 'PreconditionFailed');
    const tag = etag ?? `"${digest(bytes).toString('hex')}"`;
    this.#objects.set(name, {
      bytes,
      etag: tag,
      modifiedMs: systemClock.now(),
      headers: headers as Record<string, string>,
    });
    return { status: 200, headers: { etag: tag } };
  }

  #get(name: string, { headers }: SeenRequest): Answer {
    const object = this.#objects.get(name);
    if (object === undefined) return failure(404, 'NoSuchKey');
    const { bytes, etag, modifiedMs } = object;
    if (headers['if-match'] !== undefined && headers['if-match'] !== etag) {
      return failure(412, 'PreconditionFailed');
    }
    const common = { etag, 'last-modified': new Date(modifiedMs).toUTCString() };
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
    if (range === null) return { status: 200, headers: common, body: bytes };
    const start = Number(range[1]);
    if (start >= bytes.length) return failure(416, 'InvalidRange');
    const end = range[2] === '' ? bytes.length : Math.min(bytes.length, Number(range[2]) + 1);
    return {
      status: 206,
      headers: { ...common, 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` },
      body: bytes.subarray(start, end),
    };
  }

  #list(query: URLSearchParams): Answer {
    const second = query.get('list-type') === '2';
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') ?? '';
    const after = (second ? query.get('continuation-token') : query.get('marker')) ?? '';
    const items = new Map<string, Stored | undefined>();
    for (const name of [...this.#objects.keys()].sort(compareUtf8)) {
      if (!name.startsWith(prefix)) continue;
      const end = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
      const item = end === -1 ? name : name.slice(0, end + 1);
      if (compareUtf8(item, after) > 0)
        items.set(item, end === -1 ? this.#objects.get(name) : undefined);
    }
    const limit = Math.min(this.pageSize, Number(query.get('max-keys') ?? this.pageSize));
    const page = [...items].slice(0, limit);
    const truncated = items.size > page.length;
    const last = page.at(-1)?.[0] ?? '';
    const next = second
      ? `<NextContinuationToken>${escape(last)}</NextContinuationToken>`
      : delimiter === ''
        ? ''
        : `<NextMarker>${encodeName(last)}</NextMarker>`;
    const xml = page.map(([name, object]) =>
      object === undefined
        ? `<CommonPrefixes><Prefix>${encodeName(name)}</Prefix></CommonPrefixes>`
        : `<Contents><Key>${encodeName(name)}</Key><Size>${object.bytes.length}</Size>` +
          `<LastModified>${new Date(object.modifiedMs).toISOString()}</LastModified></Contents>`,
    );
    return xmlAnswer(
      'ListBucketResult',
      `<EncodingType>url</EncodingType><IsTruncated>${truncated}</IsTruncated>${truncated ? next : ''}${xml.join('')}`,
    );
  }

  #startParts(): Answer {
    const id = `upload-${++this.#uploads}`;
    this.unfinished.set(id, new Map());
    return xmlAnswer('InitiateMultipartUploadResult', `<UploadId>${id}</UploadId>`);
  }

  #putPart(query: URLSearchParams, body: Buffer): Answer {
    const parts = this.unfinished.get(query.get('uploadId')!);
    if (parts === undefined) return failure(404, 'NoSuchUpload');
    parts.set(Number(query.get('partNumber')), body);
    return { status: 200, headers: { etag: `"${digest(body).toString('hex')}"` } };
  }

  #finishParts(name: string, request: SeenRequest, xml: string): Answer {
    const id = request.query.get('uploadId')!;
    const parts = this.unfinished.get(id);
    if (parts === undefined) return failure(404, 'NoSuchUpload');
    const numbers = [...xml.matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map((match) =>
      Number(match[1]),
    );
    const pieces = numbers.map((number) => parts.get(number)!);
    const small = pieces.slice(0, -1).some((piece) => piece.length < 5 * 1024 * 1024);
    if (small) return failure(400, 'EntityTooSmall');
    const answer = this.#put(name, Buffer.concat(pieces), request, `"${id}-${pieces.length}"`);
    if (answer.status !== 200) return answer;
    this.unfinished.delete(id);
    return xmlAnswer('CompleteMultipartUploadResult', `<ETag>${id}</ETag>`);
  }
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

function send(
  response: ServerResponse,
  method: string,
  { status, headers, body = Buffer.alloc(0) }: Answer,
  fault: Misbehaviour | undefined,
): void {
  response.writeHead(status, { ...headers, 'content-length': body.length });
  if (method === 'HEAD') response.end();
  else if (fault?.kind === 'truncate' && fault.bytes < body.length) {
    response.write(body.subarray(0, fault.bytes), () => {
      if (fault.close) response.destroy();
    });
  } else response.end(fault?.kind === 'damage' ? damaged(body, fault.at) : body);
}

function failure(status: number, code: string, headers?: Readonly<Record<string, string>>): Answer {
  const xml = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>the test server says so</Message></Error>`;
  return { status, body: Buffer.from(xml), ...(headers === undefined ? {} : { headers }) };
}

function retryAfter(seconds: number | undefined): Record<string, string> {
  return seconds === undefined ? {} : { 'retry-after': String(seconds) };
}

function xmlAnswer(root: string, content: string): Answer {
  const xml = `<?xml version="1.0"?><${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${root}>`;
  return { status: 200, body: Buffer.from(xml), headers: { 'content-type': 'application/xml' } };
}

function encodeName(name: string): string {
  return escape(encodeURIComponent(name).replaceAll('%20', '+').replaceAll('%2F', '/'));
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function digest(bytes: Buffer): Buffer {
  return createHash('md5').update(bytes).digest();
}
