import { crc32c } from '#/lib/crc32c.ts';
import { UnavailableError } from '#/lib/errors.ts';
import type { Bucket, ObjectAttributes } from './bucket.ts';
import type { GcsConfig } from './gcs/config.ts';
import { gcsWords, isMissingBucket } from './gcs/failures.ts';
import { ResumableUpload } from './gcs/parts.ts';
import { openTransport, readText } from './gcs/transport.ts';
import type { GcsRequest, GcsTransport } from './gcs/transport.ts';
import { crc32cChecksum, crc32cText } from './remote/checksum.ts';
import type { Checksum } from './remote/checksum.ts';
import type { RemoteEffects } from './remote/effects.ts';
import { RemoteBucket, roundUp } from './remote/remote-bucket.ts';
import type {
  Body,
  Condition,
  ObjectService,
  Page,
  PageRequest,
  PartsUpload,
  ServiceWords,
  Span,
} from './remote/service.ts';

const DEFAULT_CHUNK_BYTES = 16 * 1024 * 1024;

/** @throws BadInputError if a file that the configuration names cannot be read. */
export async function openGcsBucket(config: GcsConfig, effects: RemoteEffects): Promise<Bucket> {
  if (config.use_grpc) effects.log.warn('use_grpc has no effect: requests to GCS go over HTTP');
  const service = new GcsService(config, await openTransport(config, effects));
  const options = {
    maxAttempts: config.max_retries === 0 ? undefined : config.max_retries,
    answerMs: config.http_config.response_header_timeout,
  };
  return new RemoteBucket(service, options, effects);
}

/** What the JSON API says about an object. Numbers of 64 bits come as texts. */
interface Resource {
  readonly name: string;
  readonly size?: string;
  readonly updated?: string;
  readonly generation?: string;
  readonly md5Hash?: string;
}

interface Listing {
  readonly items?: readonly Resource[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
}

/**
 * The JSON API of Google Cloud Storage. An object's version is its generation.
 * Protocol: https://cloud.google.com/storage/docs/json_api/v1
 */
class GcsService implements ObjectService {
  readonly name: string;
  readonly label: string;
  readonly words: ServiceWords;
  readonly partBytes: number;
  /** An object has at most 5 TiB. */
  readonly maxParts = Number.POSITIVE_INFINITY;
  readonly parallelParts = 1;
  readonly #transport: GcsTransport;
  readonly #objects: string;
  readonly #uploads: string;
  /** Whether anything has ever been found in the bucket, so that it exists. */
  #known = false;

  constructor(config: GcsConfig, transport: GcsTransport) {
    const { bucket, chunk_size_bytes } = config;
    this.name = `gs://${bucket}`;
    this.label = bucket;
    this.words = gcsWords(bucket, transport.endpoint);
    this.partBytes = roundUp(chunk_size_bytes === 0 ? DEFAULT_CHUNK_BYTES : chunk_size_bytes);
    this.#transport = transport;
    this.#objects = `/storage/v1/b/${encodeURIComponent(bucket)}/o`;
    this.#uploads = `/upload${this.#objects}`;
  }

  async listPage({ prefix, recursive, token }: PageRequest, signal: AbortSignal): Promise<Page> {
    const query = queryOf({
      prefix,
      ...(recursive ? {} : { delimiter: '/' }),
      ...(token === undefined ? {} : { pageToken: token }),
      fields: 'items(name,size,updated),prefixes,nextPageToken',
    });
    const request = { method: 'GET', url: this.#objects + query } as const;
    const { items = [], prefixes = [], nextPageToken } = await this.#json<Listing>(request, signal);
    this.#known = true;
    const objects = items.map(({ name, size, updated }) => ({
      name,
      ...(size === undefined ? {} : { sizeBytes: Number(size) }),
      ...(updated === undefined ? {} : { modifiedMs: Date.parse(updated) }),
    }));
    return { entries: [...objects, ...prefixes.map((name) => ({ name }))], next: nextPageToken };
  }

  async get(name: string, { start, end, version }: Span, signal: AbortSignal): Promise<Body> {
    const whole = start === 0 && end === undefined;
    const query = queryOf({
      alt: 'media',
      ...(version === undefined ? {} : { ifGenerationMatch: version }),
    });
    const response = await this.#known404(signal, () =>
      this.#transport.send(
        {
          method: 'GET',
          url: this.#object(name) + query,
          headers: {
            // Objects as they are stored, also those that were compressed before they were uploaded.
            'accept-encoding': 'gzip',
            ...(whole ? {} : { range: `bytes=${start}-${end === undefined ? '' : end - 1}` }),
          },
        },
        signal,
      ),
    );
    const { 'content-length': size, 'content-range': range, ...headers } = response.headers;
    return {
      version: headerText(headers['x-goog-generation']),
      stream: response,
      sizeBytes: size === undefined ? undefined : Number(size),
      range,
      checksum: whole ? checksumOf(headerText(headers['x-goog-hash'])) : undefined,
    };
  }

  async head(name: string, signal: AbortSignal): Promise<ObjectAttributes> {
    const url = this.#object(name) + queryOf({ fields: 'size,updated,generation,md5Hash' });
    const { size, updated, generation, md5Hash } = await this.#known404(signal, () =>
      this.#json<Resource>({ method: 'GET', url }, signal),
    );
    return {
      sizeBytes: Number(size ?? 0),
      modifiedMs: Date.parse(updated ?? ''),
      version: generation ?? '',
      // Objects that were put together from parts on the server have none.
      ...(md5Hash === undefined ? {} : { md5: Buffer.from(md5Hash, 'base64').toString('hex') }),
    };
  }

  /** The checksum goes along: bytes that were damaged on the way are refused. */
  async put(name: string, bytes: Uint8Array, condition: Condition, signal: AbortSignal) {
    const metadata = JSON.stringify({ name, crc32c: crc32cText(crc32c(bytes)) });
    const boundary = boundaryFor(bytes);
    const head =
      `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${metadata}\r\n` +
      `--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`;
    const request = {
      method: 'POST',
      url:
        this.#uploads +
        queryOf({ uploadType: 'multipart', ...conditionQuery(condition), fields: 'generation' }),
      headers: { 'content-type': `multipart/related; boundary=${boundary}` },
      body: [Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)],
    } as const;
    await readText(await this.#transport.send(request, signal));
    this.#known = true;
  }

  async startParts(name: string, condition: Condition, signal: AbortSignal): Promise<PartsUpload> {
    const query = queryOf({ uploadType: 'resumable', name, ...conditionQuery(condition) });
    const response = await this.#transport.send(
      {
        method: 'POST',
        url: this.#uploads + query,
        headers: { 'x-upload-content-type': 'application/octet-stream' },
      },
      signal,
    );
    await readText(response);
    const { location } = response.headers;
    if (location === undefined) {
      throw new UnavailableError(
        `${this.#transport.endpoint} gave no session for the parts of "${name}"`,
      );
    }
    return new ResumableUpload(this.#transport, location);
  }

  async remove(name: string, signal: AbortSignal): Promise<void> {
    await readText(
      await this.#transport.send({ method: 'DELETE', url: this.#object(name) }, signal),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#transport[Symbol.dispose]();
    return Promise.resolve();
  }

  async #json<T>(request: GcsRequest, signal: AbortSignal): Promise<T> {
    return JSON.parse(await readText(await this.#transport.send(request, signal))) as T;
  }

  /** A 404 does not always tell whether the object or the bucket is missing; a listing does. */
  async #known404<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.#known = true;
      return result;
    } catch (thrown) {
      const failure = this.words.failureOf(thrown);
      if (failure.status === 404 && !this.#known && !isMissingBucket(failure)) {
        await this.#checkBucket(signal);
      }
      throw thrown;
    }
  }

  async #checkBucket(signal: AbortSignal): Promise<void> {
    const url = this.#objects + queryOf({ maxResults: '1', fields: 'nextPageToken' });
    await this.#json({ method: 'GET', url }, signal);
    this.#known = true;
  }

  #object(name: string): string {
    return `${this.#objects}/${encodeURIComponent(name)}`;
  }
}

function queryOf(parameters: Readonly<Record<string, string>>): string {
  return `?${new URLSearchParams(parameters).toString()}`;
}

/** Generation 0 means that there is none. */
function conditionQuery({ ifAbsent, ifMatch }: Condition): Record<string, string> {
  if (ifAbsent === true) return { ifGenerationMatch: '0' };
  return ifMatch === undefined ? {} : { ifGenerationMatch: ifMatch };
}

/** A line that is nowhere in `bytes`. */
function boundaryFor(bytes: Uint8Array): string {
  const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; ; i++) {
    const boundary = `hindsight-part-${i}`;
    if (!content.includes(boundary)) return boundary;
  }
}

function headerText(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.[0] ?? '');
}

/** Of `crc32c=AAAAAA==,md5=…`. */
function checksumOf(header: string): Checksum | undefined {
  const crc = /(?:^|,)\s*crc32c=([^,]+)/.exec(header)?.[1];
  return crc === undefined ? undefined : crc32cChecksum(crc);
}
