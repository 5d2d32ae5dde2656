import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type * as Sdk from '@aws-sdk/client-s3';
import type { Clock } from '#/lib/clock.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { deadline } from '#/lib/deadline.ts';
import type { Disk } from '#/lib/disk.ts';
import { NotFoundError, UnavailableError } from '#/lib/errors.ts';
import type { Random } from '#/lib/random.ts';
import type { Log } from '#/telemetry/logger.ts';
import { ConditionError } from './bucket.ts';
import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from './bucket.ts';
import { checkPrefix, compareEntries } from './names.ts';
import { Attempts } from './remote/attempts.ts';
import type { History, RetryOptions } from './remote/attempts.ts';
import { bodyPieces } from './remote/body.ts';
import { readConfiguredFile } from './remote/http.ts';
import { createClient, endpointUrl, isAws, loadSdk, regionOf } from './s3/client.ts';
import type { SdkModule } from './s3/client.ts';
import type { S3Config } from './s3/config.ts';
import { failureOf, isFailedCondition, isNotFound, s3Words } from './s3/failures.ts';
import { listPages } from './s3/listing.ts';
import { collect, concat, inParts } from './streams.ts';

export interface S3Effects {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly log?: Log;
  /** Proxy variables. Credentials come from the process's own environment, through the SDK. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Parts of a stream, whose length nobody knows: 16 MiB × 10,000 parts are 156 GiB. */
const STREAM_PART_BYTES = 16 * 1024 * 1024;
const MAX_PARTS = 10_000;
const PARALLEL_PARTS = 4;
const DEFAULT_ATTEMPTS = 10;
/** The slowest upload that is worth waiting for. */
const SLOWEST_BYTES_PER_MS = 100;
/** An object up to this size is compared to find out whether a lost write was ours. */
const COMPARABLE_BYTES = 1024 * 1024;

/** @throws BadInputError if a file that the configuration names cannot be read. */
export async function openS3Bucket(config: S3Config, effects: S3Effects): Promise<Bucket> {
  const sdk = await loadSdk();
  const { disk, environment, clock, log } = effects;
  const client = await createClient({ sdk, config, disk, environment, clock, log });
  return new S3Bucket({
    sdk,
    client,
    config,
    effects,
    encryption: await encryptionOf(config, disk),
  });
}

/** The headers of server-side encryption: for objects' contents, and for everything that reads them. */
interface Encryption {
  readonly write: {
    readonly ServerSideEncryption?: 'AES256' | 'aws:kms';
    readonly SSEKMSKeyId?: string;
    readonly SSEKMSEncryptionContext?: string;
  };
  readonly customerKey: {
    readonly SSECustomerAlgorithm?: string;
    readonly SSECustomerKey?: string;
  };
}

interface S3Parts {
  readonly sdk: SdkModule;
  readonly client: Sdk.S3Client;
  readonly config: S3Config;
  readonly effects: S3Effects;
  readonly encryption: Encryption;
}

/**
 * A bucket of S3 or of a server that speaks its protocol. Reads, lists and writes are retried after
 * lost connections, 429 and 5xx; a read goes on where it broke off. Uploads of known size from
 * `part_size` on, and streams of more than 16 MiB, go up in parts, four at once.
 */
class S3Bucket implements Bucket {
  readonly name: string;
  readonly #sdk: SdkModule;
  readonly #client: Sdk.S3Client;
  readonly #config: S3Config;
  readonly #effects: S3Effects;
  readonly #encryption: Encryption;
  readonly #retries: RetryOptions;
  readonly #stored: ReturnType<typeof storedHeaders>;
  readonly #sendMd5: boolean;
  /** Whether anything has ever been found in the bucket, so that it exists. */
  #known = false;

  constructor({ sdk, client, config, effects, encryption }: S3Parts) {
    this.name = `s3://${config.bucket}`;
    this.#sdk = sdk;
    this.#client = client;
    this.#config = config;
    this.#effects = effects;
    this.#encryption = encryption;
    this.#retries = {
      words: s3Words({
        bucket: config.bucket,
        endpoint: endpointUrl(config),
        region: regionOf(config),
      }),
      maxAttempts: config.max_retries === 0 ? DEFAULT_ATTEMPTS : config.max_retries,
      clock: effects.clock,
      random: effects.random,
    };
    this.#stored = storedHeaders(config);
    // To AWS the SDK sends a CRC, which does the same.
    this.#sendMd5 = config.send_content_md5 && !isAws(config);
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListEntry> {
    checkPrefix(prefix);
    const { signal, recursive = false } = options;
    const pages = listPages(this.#sdk, {
      bucket: this.#config.bucket,
      prefix,
      recursive,
      version: this.#config.list_objects_version === 'v1' ? 1 : 2,
      send: (request) =>
        this.#retry(`list "${prefix}"`, signal, () =>
          this.#send((at) => request(this.#client, at), signal),
        ),
    });
    for await (const page of pages) {
      this.#known = true;
      // Objects and directories come apart, each in order.
      for (const entry of page.sort(compareEntries)) {
        signal?.throwIfAborted();
        yield entry;
      }
    }
  }

  async read(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of this.readStream(name, options)) {
      pieces.push(piece);
      length += piece.length;
    }
    return pieces.length === 1 ? pieces[0]! : concat(pieces, length);
  }

  async *readStream(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    const { offset = 0, length, signal } = options;
    if (length === 0) {
      if ((await this.attributes(name, { signal })) === undefined) throw this.#missing(name);
      return;
    }
    const attempts = new Attempts(`read "${name}"`, this.#retries);
    const end = length === undefined ? undefined : offset + length;
    let position = offset;
    let version: string | undefined;
    for (;;) {
      try {
        const response = await this.#get(name, position, end, version, signal);
        if (response === undefined) return;
        version = response.version;
        for await (const piece of response.pieces) {
          attempts.progress();
          position += piece.length;
          yield piece;
        }
        return;
      } catch (thrown) {
        await attempts.failed(thrown, signal);
      }
    }
  }

  /** The bytes `[position, end)`; `undefined` when the object ends before them. */
  async #get(
    name: string,
    position: number,
    end: number | undefined,
    version: string | undefined,
    signal: AbortSignal | undefined,
  ) {
    const whole = position === 0 && end === undefined;
    const range = whole ? {} : { Range: `bytes=${position}-${end === undefined ? '' : end - 1}` };
    const command = new this.#sdk.GetObjectCommand({
      ...this.#object(name),
      ...this.#encryption.customerKey,
      ...range,
      ...(version === undefined ? {} : { IfMatch: version }),
    });
    let output: Sdk.GetObjectCommandOutput;
    try {
      output = await this.#send((at) => this.#client.send(command, at), signal);
    } catch (thrown) {
      const failure = failureOf(thrown);
      if (failure.status === 416) return undefined;
      if (isNotFound(failure)) throw this.#missing(name);
      if (isFailedCondition(failure)) {
        throw new UnavailableError(
          `${this.name}/${name} was replaced while it was read; read it again`,
        );
      }
      throw thrown;
    }
    this.#known = true;
    const body = output.Body as Readable;
    if (!whole && output.ContentRange === undefined && position > 0) {
      body.destroy();
      throw new UnavailableError(
        `${endpointUrl(this.#config)} ignores ranges: it sent the whole of "${name}"; use a server that honours the Range header`,
      );
    }
    const idleMs = this.#config.http_config.response_header_timeout;
    return {
      version: output.ETag,
      pieces: bodyPieces(body, output.ContentLength, idleMs, signal),
    };
  }

  attributes(
    name: string,
    { signal }: OperationOptions = {},
  ): Promise<ObjectAttributes | undefined> {
    const command = new this.#sdk.HeadObjectCommand({
      ...this.#object(name),
      ...this.#encryption.customerKey,
    });
    return this.#retry(`look up "${name}"`, signal, async () => {
      try {
        const output = await this.#send((at) => this.#client.send(command, at), signal);
        this.#known = true;
        return {
          sizeBytes: output.ContentLength ?? 0,
          modifiedMs: output.LastModified?.getTime() ?? 0,
          version: output.ETag ?? '',
        };
      } catch (thrown) {
        if (!isNotFound(failureOf(thrown))) throw thrown;
        await this.#checkBucket(signal);
        return undefined;
      }
    });
  }

  /** The answer to HEAD has no text: a missing bucket looks like a missing object. */
  async #checkBucket(signal: AbortSignal | undefined): Promise<void> {
    if (this.#known) return;
    const { bucket } = this.#config;
    const command = new this.#sdk.ListObjectsCommand({ Bucket: bucket, MaxKeys: 1 });
    await this.#send((at) => this.#client.send(command, at), signal);
    this.#known = true;
  }

  async upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: UploadOptions = {},
  ): Promise<void> {
    options.signal?.throwIfAborted();
    const { disable_multipart: whole, part_size } = this.#config;
    if (content instanceof Uint8Array) {
      if (whole || content.length < part_size) return this.#put(name, content, options);
      return this.#uploadParts(name, slices(content, part_size), options);
    }
    if (whole) return this.#put(name, await collect(content, options.signal), options);
    const parts = inParts(content, STREAM_PART_BYTES);
    const first = (await parts.next()).value ?? new Uint8Array();
    const second = await parts.next();
    if (second.done === true) return this.#put(name, first, options);
    return this.#uploadParts(name, chain([first, second.value], parts), options);
  }

  async remove(name: string, { signal }: OperationOptions = {}): Promise<void> {
    const command = new this.#sdk.DeleteObjectCommand(this.#object(name));
    await this.#retry(`remove "${name}"`, signal, async () => {
      try {
        await this.#send((at) => this.#client.send(command, at), signal);
      } catch (thrown) {
        if (!isNotFound(failureOf(thrown))) throw thrown;
      }
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
    return Promise.resolve();
  }

  async #put(name: string, bytes: Uint8Array, options: UploadOptions): Promise<void> {
    const { signal } = options;
    const command = new this.#sdk.PutObjectCommand({
      ...this.#object(name),
      ...this.#stored,
      ...this.#encryption.write,
      ...this.#encryption.customerKey,
      ...conditions(options),
      ...this.#md5(bytes),
      Body: bytes,
      ContentLength: bytes.length,
    });
    await this.#retry(`upload "${name}"`, signal, async (history) => {
      try {
        await this.#send((at) => this.#client.send(command, at), signal, bytes.length);
        this.#known = true;
      } catch (thrown) {
        await this.#settleCondition(name, bytes, options, history, thrown);
      }
    });
  }

  /**
   * What a failed condition means. After a lost answer it may be our own write that is in the way:
   * then the object has our bytes.
   */
  async #settleCondition(
    name: string,
    bytes: Uint8Array | undefined,
    options: UploadOptions,
    history: History,
    thrown: unknown,
  ): Promise<void> {
    const failure = failureOf(thrown);
    const gone = options.ifMatch !== undefined && isNotFound(failure);
    if (!isFailedCondition(failure) && !gone) throw thrown;
    if (history.ambiguous && bytes !== undefined && bytes.length <= COMPARABLE_BYTES && !gone) {
      const found = await this.read(name, { signal: options.signal });
      if (Buffer.from(bytes).equals(found)) return;
    }
    throw new ConditionError(
      options.ifMatch === undefined
        ? `${this.name}/${name} exists already`
        : `${this.name}/${name} is not version ${options.ifMatch} any more`,
    );
  }

  async #uploadParts(
    name: string,
    parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: UploadOptions,
  ): Promise<void> {
    const signal = options.signal ?? new AbortController().signal;
    // Not every server checks the condition at the end.
    if (options.ifAbsent === true && (await this.attributes(name, { signal })) !== undefined) {
      throw new ConditionError(`${this.name}/${name} exists already`);
    }
    const uploadId = await this.#startParts(name, signal);
    try {
      const done: Sdk.CompletedPart[] = [];
      let sizeBytes = 0;
      await concurrently(PARALLEL_PARTS, numbered(parts), signal, async ([part, bytes], inner) => {
        if (part > MAX_PARTS) {
          throw new UnavailableError(
            `cannot upload "${name}": it has more than ${MAX_PARTS} parts; raise part_size`,
          );
        }
        sizeBytes += bytes.length;
        done.push({
          PartNumber: part,
          ETag: await this.#uploadPart(name, uploadId, part, bytes, inner),
        });
      });
      done.sort((a, b) => a.PartNumber! - b.PartNumber!);
      await this.#finishParts(name, uploadId, done, sizeBytes, options);
    } catch (thrown) {
      await this.#abortParts(name, uploadId);
      throw thrown;
    }
  }

  async #startParts(name: string, signal: AbortSignal): Promise<string> {
    const command = new this.#sdk.CreateMultipartUploadCommand({
      ...this.#object(name),
      ...this.#stored,
      ...this.#encryption.write,
      ...this.#encryption.customerKey,
    });
    const output = await this.#retry(`start the upload of "${name}"`, signal, () =>
      this.#send((at) => this.#client.send(command, at), signal),
    );
    if (output.UploadId === undefined) {
      throw new UnavailableError(
        `${endpointUrl(this.#config)} gave no id for the parts of "${name}"; set disable_multipart: true if it cannot take parts`,
      );
    }
    return output.UploadId;
  }

  async #uploadPart(
    name: string,
    uploadId: string,
    part: number,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<string> {
    const command = new this.#sdk.UploadPartCommand({
      ...this.#object(name),
      ...this.#encryption.customerKey,
      ...this.#md5(bytes),
      UploadId: uploadId,
      PartNumber: part,
      Body: bytes,
      ContentLength: bytes.length,
    });
    const output = await this.#retry(`upload part ${part} of "${name}"`, signal, () =>
      this.#send((at) => this.#client.send(command, at), signal, bytes.length),
    );
    return output.ETag ?? '';
  }

  async #finishParts(
    name: string,
    uploadId: string,
    parts: Sdk.CompletedPart[],
    sizeBytes: number,
    options: UploadOptions,
  ): Promise<void> {
    const { signal } = options;
    const command = new this.#sdk.CompleteMultipartUploadCommand({
      ...this.#object(name),
      ...this.#encryption.customerKey,
      ...conditions(options),
      UploadId: uploadId,
      MultipartUpload: { Parts: parts },
    });
    await this.#retry(`finish the upload of "${name}"`, signal, async (history) => {
      try {
        await this.#send((at) => this.#client.send(command, at), signal);
      } catch (thrown) {
        // The first answer was lost, and the parts have become the object since.
        if (history.ambiguous && failureOf(thrown).code === 'NoSuchUpload') {
          if ((await this.attributes(name, { signal }))?.sizeBytes === sizeBytes) return;
        }
        await this.#settleCondition(name, undefined, options, history, thrown);
      }
    });
  }

  /** Parts of an unfinished upload cost money until someone removes them. */
  async #abortParts(name: string, uploadId: string): Promise<void> {
    const command = new this.#sdk.AbortMultipartUploadCommand({
      ...this.#object(name),
      UploadId: uploadId,
    });
    try {
      await this.#send((at) => this.#client.send(command, at), undefined);
    } catch (thrown) {
      this.#effects.log?.warn('parts of a failed upload stay in the bucket', {
        object: name,
        err: failureOf(thrown).message,
      });
    }
  }

  #retry<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: (history: History) => Promise<T>,
  ): Promise<T> {
    return new Attempts(what, this.#retries).run(signal, work);
  }

  /** One attempt, which must be answered in time; `sentBytes` get the time they need. */
  async #send<Output>(
    request: (options: { abortSignal: AbortSignal }) => Promise<Output>,
    signal: AbortSignal | undefined,
    sentBytes = 0,
  ): Promise<Output> {
    const timeoutMs = this.#config.http_config.response_header_timeout;
    const ms = timeoutMs + sentBytes / SLOWEST_BYTES_PER_MS;
    using limit = deadline(this.#effects.clock, ms, signal);
    try {
      return await request({ abortSignal: limit.signal });
    } catch (thrown) {
      signal?.throwIfAborted();
      throw limit.expired ? (limit.signal.reason as Error) : thrown;
    }
  }

  #object(name: string) {
    return { Bucket: this.#config.bucket, Key: name };
  }

  #md5(bytes: Uint8Array) {
    if (!this.#sendMd5) return {};
    return { ContentMD5: createHash('md5').update(bytes).digest('base64') };
  }

  #missing(name: string): NotFoundError {
    return new NotFoundError(`${this.name}/${name} does not exist`);
  }
}

function conditions({ ifAbsent, ifMatch }: UploadOptions) {
  if (ifAbsent === true) return { IfNoneMatch: '*' };
  return ifMatch === undefined ? {} : { IfMatch: ifMatch };
}

/** What is stored beside each object; the storage class is written among the metadata in Thanos. */
function storedHeaders({ put_user_metadata: metadata }: S3Config) {
  const isClass = ([key]: readonly [string, string]) => key.toLowerCase() === 'x-amz-storage-class';
  const entries = Object.entries(metadata);
  const storageClass = entries.find(isClass)?.[1];
  const rest = entries.filter((entry) => !isClass(entry));
  return {
    ...(rest.length === 0 ? {} : { Metadata: Object.fromEntries(rest) }),
    ...(storageClass === undefined ? {} : { StorageClass: storageClass as Sdk.StorageClass }),
  };
}

async function encryptionOf({ sse_config: sse }: S3Config, disk: Disk): Promise<Encryption> {
  switch (sse.type) {
    case '':
      return { write: {}, customerKey: {} };
    case 'SSE-S3':
      return { write: { ServerSideEncryption: 'AES256' }, customerKey: {} };
    case 'SSE-KMS': {
      const context = JSON.stringify(sse.kms_encryption_context);
      const write = {
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: sse.kms_key_id,
        SSEKMSEncryptionContext: Buffer.from(context).toString('base64'),
      } as const;
      return { write, customerKey: {} };
    }
    case 'SSE-C': {
      const key = await readConfiguredFile(disk, 'sse_config.encryption_key', sse.encryption_key);
      const SSECustomerKey = Buffer.from(key).toString('base64');
      return { write: {}, customerKey: { SSECustomerAlgorithm: 'AES256', SSECustomerKey } };
    }
  }
}

function* slices(bytes: Uint8Array, partBytes: number): Generator<Uint8Array> {
  const size = Math.max(partBytes, Math.ceil(bytes.length / MAX_PARTS));
  for (let start = 0; start < bytes.length; start += size) {
    yield bytes.subarray(start, start + size);
  }
}

async function* chain<T>(first: readonly T[], rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield* first;
  yield* rest;
}

async function* numbered<T>(items: AsyncIterable<T> | Iterable<T>): AsyncGenerator<[number, T]> {
  let number = 1;
  for await (const item of items) yield [number++, item];
}
