import type { Readable } from 'node:stream';
import type * as Sdk from '@aws-sdk/client-s3';
import { UnavailableError } from '#/lib/errors.ts';
import type { Bucket, ObjectAttributes } from './bucket.ts';
import { md5Checksum } from './remote/checksum.ts';
import type { Checksum } from './remote/checksum.ts';
import type { RemoteEffects } from './remote/effects.ts';
import { RemoteBucket } from './remote/remote-bucket.ts';
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
import { createClient, endpointUrl, loadSdk, regionOf } from './s3/client.ts';
import type { SdkModule } from './s3/client.ts';
import type { S3Config } from './s3/config.ts';
import { s3Words } from './s3/failures.ts';
import { conditionHeaders, headersOf } from './s3/headers.ts';
import type { ObjectHeaders } from './s3/headers.ts';
import { listPage } from './s3/listing.ts';
import { MultipartUpload } from './s3/parts.ts';

/** Parts of a stream, whose length nobody knows: 16 MiB × 10,000 parts are 156 GiB. */
const STREAM_PART_BYTES = 16 * 1024 * 1024;

/** @throws BadInputError if a file that the configuration names cannot be read. */
export async function openS3Bucket(config: S3Config, effects: RemoteEffects): Promise<Bucket> {
  const sdk = await loadSdk();
  const client = await createClient({ ...effects, sdk, config });
  const headers = await headersOf(config, effects.disk);
  const options = {
    maxAttempts: config.max_retries === 0 ? undefined : config.max_retries,
    answerMs: config.http_config.response_header_timeout,
  };
  return new RemoteBucket(new S3Service({ sdk, client, config, headers }), options, effects);
}

interface S3Parts {
  readonly sdk: SdkModule;
  readonly client: Sdk.S3Client;
  readonly config: S3Config;
  readonly headers: ObjectHeaders;
}

/** A bucket of S3, or of a server that speaks its protocol. An object's version is its entity tag. */
class S3Service implements ObjectService {
  readonly name: string;
  readonly label: string;
  readonly words: ServiceWords;
  readonly partBytes: number;
  readonly streamPartBytes: number;
  readonly maxParts = 10_000;
  readonly parallelParts = 4;
  readonly #sdk: SdkModule;
  readonly #client: Sdk.S3Client;
  readonly #config: S3Config;
  readonly #headers: ObjectHeaders;
  /** Whether anything has ever been found in the bucket, so that it exists. */
  #known = false;

  constructor({ sdk, client, config, headers }: S3Parts) {
    const { bucket, disable_multipart: whole, part_size } = config;
    this.name = `s3://${bucket}`;
    this.label = bucket;
    this.words = s3Words({ bucket, endpoint: endpointUrl(config), region: regionOf(config) });
    this.partBytes = whole ? Number.POSITIVE_INFINITY : part_size;
    this.streamPartBytes = whole ? Number.POSITIVE_INFINITY : STREAM_PART_BYTES;
    this.#sdk = sdk;
    this.#client = client;
    this.#config = config;
    this.#headers = headers;
  }

  async listPage(request: PageRequest, signal: AbortSignal): Promise<Page> {
    const { bucket, list_objects_version } = this.#config;
    const page = await listPage(
      {
        ...request,
        sdk: this.#sdk,
        client: this.#client,
        bucket,
        version: list_objects_version === 'v1' ? 1 : 2,
      },
      signal,
    );
    this.#known = true;
    return page;
  }

  async get(name: string, { start, end, version }: Span, abortSignal: AbortSignal): Promise<Body> {
    const whole = start === 0 && end === undefined;
    const command = new this.#sdk.GetObjectCommand({
      ...this.#object(name),
      ...this.#headers.customerKey,
      ...(whole ? {} : { Range: `bytes=${start}-${end === undefined ? '' : end - 1}` }),
      ...(version === undefined ? {} : { IfMatch: version }),
    });
    const output = await this.#client.send(command, { abortSignal });
    this.#known = true;
    return {
      version: output.ETag ?? '',
      stream: output.Body as Readable,
      sizeBytes: output.ContentLength,
      range: output.ContentRange,
      checksum: whole ? checksumOf(output) : undefined,
    };
  }

  async head(name: string, abortSignal: AbortSignal): Promise<ObjectAttributes> {
    const command = new this.#sdk.HeadObjectCommand({
      ...this.#object(name),
      ...this.#headers.customerKey,
    });
    try {
      const output = await this.#client.send(command, { abortSignal });
      this.#known = true;
      return {
        sizeBytes: output.ContentLength ?? 0,
        modifiedMs: output.LastModified?.getTime() ?? 0,
        version: output.ETag ?? '',
      };
    } catch (thrown) {
      const failure = this.words.failureOf(thrown);
      if (this.words.meaningOf(failure) === 'missing') await this.#checkBucket(abortSignal);
      throw thrown;
    }
  }

  /** The answer to HEAD has no text: a missing bucket looks like a missing object. */
  async #checkBucket(abortSignal: AbortSignal): Promise<void> {
    if (this.#known) return;
    const { bucket } = this.#config;
    const command = new this.#sdk.ListObjectsCommand({ Bucket: bucket, MaxKeys: 1 });
    await this.#client.send(command, { abortSignal });
    this.#known = true;
  }

  async put(name: string, bytes: Uint8Array, condition: Condition, abortSignal: AbortSignal) {
    const { stored, customerKey, checksum } = this.#headers;
    const command = new this.#sdk.PutObjectCommand({
      ...this.#object(name),
      ...stored,
      ...customerKey,
      ...conditionHeaders(condition),
      ...checksum(bytes),
      Body: bytes,
      ContentLength: bytes.length,
    });
    await this.#client.send(command, { abortSignal });
    this.#known = true;
  }

  /** The condition goes along with the end: not every server heeds it, nor at the beginning. */
  async startParts(
    name: string,
    condition: Condition,
    abortSignal: AbortSignal,
  ): Promise<PartsUpload> {
    const { stored, customerKey } = this.#headers;
    const input = { ...this.#object(name), ...stored, ...customerKey };
    const command = new this.#sdk.CreateMultipartUploadCommand(input);
    const { UploadId } = await this.#client.send(command, { abortSignal });
    if (UploadId === undefined) {
      throw new UnavailableError(
        `${endpointUrl(this.#config)} gave no id for the parts of "${name}"; set disable_multipart: true if it cannot take parts`,
      );
    }
    return new MultipartUpload({
      sdk: this.#sdk,
      client: this.#client,
      headers: this.#headers,
      target: { ...this.#object(name), UploadId },
      condition,
      head: (signal) => this.head(name, signal),
    });
  }

  async remove(name: string, abortSignal: AbortSignal): Promise<void> {
    const command = new this.#sdk.DeleteObjectCommand(this.#object(name));
    await this.#client.send(command, { abortSignal });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
    return Promise.resolve();
  }

  #object(name: string) {
    return { Bucket: this.#config.bucket, Key: name };
  }
}

const MD5_TAG = /^"([0-9a-f]{32})"$/;

/** Most servers take the MD5 of what goes up as a whole for its entity tag; AWS's checksum is the SDK's affair. */
function checksumOf(output: Sdk.GetObjectCommandOutput): Checksum | undefined {
  const tag = MD5_TAG.exec(output.ETag ?? '')?.[1];
  const isEncrypted = output.SSECustomerAlgorithm !== undefined || output.SSEKMSKeyId !== undefined;
  return tag === undefined || isEncrypted ? undefined : md5Checksum(tag, 'hex', true);
}
