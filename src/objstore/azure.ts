import type { Readable } from 'node:stream';
import type * as Sdk from '@azure/storage-blob';
import { createClient } from './azure/client.ts';
import type { AzureClient } from './azure/client.ts';
import type { AzureConfig } from './azure/config.ts';
import { azureWords, isDenied, isMissingContainer } from './azure/failures.ts';
import { BlockUpload, conditionsOf } from './azure/parts.ts';
import type { Bucket, ObjectAttributes } from './bucket.ts';
import { md5Checksum } from './remote/checksum.ts';
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

const BLOCK_BYTES = 8 * 1024 * 1024;

/** @throws BadInputError if a file cannot be read or a key or connection string is malformed. */
export async function openAzureBucket(
  config: AzureConfig,
  effects: RemoteEffects,
): Promise<Bucket> {
  if (config.msi_resource !== '') effects.log.warn('msi_resource has no effect; remove it');
  const { max_retries, pipeline_config: pipeline, reader_config } = config;
  const retries = pipeline.max_tries === 0 ? max_retries : pipeline.max_tries;
  const reads =
    reader_config.max_retry_requests === 0 ? max_retries : reader_config.max_retry_requests;
  const service = new AzureService(config, await createClient(config, effects), effects);
  const options = {
    maxAttempts: retries === 0 ? undefined : retries + 1,
    ...(reads === 0 ? {} : { maxReadAttempts: reads + 1 }),
    ...(pipeline.retry_delay === 0 ? {} : { firstWaitMs: pipeline.retry_delay }),
    ...(pipeline.max_retry_delay === 0 ? {} : { longestWaitMs: pipeline.max_retry_delay }),
    answerMs: answerMs(config),
  };
  return new RemoteBucket(service, options, effects);
}

function answerMs({ pipeline_config: { try_timeout }, http_config }: AzureConfig): number {
  return try_timeout === 0 ? http_config.response_header_timeout : try_timeout;
}

/** Blobs of a container of Azure Storage. A blob's version is its entity tag. */
class AzureService implements ObjectService {
  readonly name: string;
  readonly label: string;
  readonly words: ServiceWords;
  readonly partBytes = BLOCK_BYTES;
  readonly maxParts = 50_000;
  readonly parallelParts = 4;
  readonly #config: AzureConfig;
  readonly #client: AzureClient;
  readonly #container: Sdk.ContainerClient;
  readonly #effects: Pick<RemoteEffects, 'random' | 'log'>;

  /** Whether the container was there once. */
  #known = false;

  constructor(
    config: AzureConfig,
    client: AzureClient,
    effects: Pick<RemoteEffects, 'random' | 'log'>,
  ) {
    const { storage_account: account, container } = config;
    this.name = `azure://${account}/${container}`;
    this.label = container;
    this.#config = config;
    this.#client = client;
    this.#container = client.container;
    this.#effects = effects;
    const { origin } = new URL(client.container.url);
    this.words = azureWords({ account, container, endpoint: origin });
  }

  listPage({ prefix, recursive, token }: PageRequest, abortSignal: AbortSignal): Promise<Page> {
    const settings = {
      maxPageSize: 5000,
      ...(token !== undefined && { continuationToken: token }),
    };
    return this.#inContainer(abortSignal, async () => {
      const options = { prefix, abortSignal };
      if (recursive) {
        const pages = this.#container.listBlobsFlat(options).byPage(settings);
        const page = (await pages.next()).value as Sdk.ContainerListBlobFlatSegmentResponse;
        return pageOf(page.segment.blobItems, [], page.continuationToken);
      }
      const pages = this.#container.listBlobsByHierarchy('/', options).byPage(settings);
      const page = (await pages.next()).value as Sdk.ContainerListBlobHierarchySegmentResponse;
      const { blobItems, blobPrefixes = [] } = page.segment;
      return pageOf(blobItems, blobPrefixes, page.continuationToken);
    });
  }

  get(name: string, { start, end, version }: Span, abortSignal: AbortSignal): Promise<Body> {
    const whole = start === 0 && end === undefined;
    const count = end === undefined ? undefined : end - start;
    const conditions = version === undefined ? {} : { ifMatch: version };
    return this.#inContainer(abortSignal, async () => {
      const blob = this.#container.getBlobClient(name);
      const answer = await blob.download(start, count, {
        abortSignal,
        conditions,
        maxRetryRequests: 0,
      });
      const { contentMD5: md5 } = answer;
      return {
        version: answer.etag ?? '',
        stream: answer.readableStreamBody as Readable,
        sizeBytes: answer.contentLength,
        range: answer.contentRange,
        checksum:
          whole && md5 ? md5Checksum(Buffer.from(md5).toString('base64'), 'base64') : undefined,
      };
    });
  }

  head(name: string, abortSignal: AbortSignal): Promise<ObjectAttributes> {
    return this.#inContainer(abortSignal, async () => {
      const found = await this.#container.getBlobClient(name).getProperties({ abortSignal });
      return {
        sizeBytes: found.contentLength ?? 0,
        modifiedMs: found.lastModified?.getTime() ?? 0,
        version: found.etag ?? '',
        ...(found.contentMD5 === undefined
          ? {}
          : { md5: Buffer.from(found.contentMD5).toString('hex') }),
      };
    });
  }

  async put(
    name: string,
    bytes: Uint8Array,
    condition: Condition,
    abortSignal: AbortSignal,
  ): Promise<void> {
    const options = { abortSignal, conditions: conditionsOf(condition) };
    const blob = this.#container.getBlockBlobClient(name);
    await this.#inContainer(abortSignal, () => blob.upload(bytes, bytes.length, options));
  }

  /** Blocks need no beginning. */
  startParts(name: string, condition: Condition): Promise<PartsUpload> {
    const number = Math.floor(this.#effects.random.next() * 2 ** 48);
    const id = number.toString(16).padStart(12, '0');
    const blob = this.#container.getBlockBlobClient(name);
    const inContainer = <T>(signal: AbortSignal, work: () => Promise<T>) =>
      this.#inContainer(signal, work);
    return Promise.resolve(new BlockUpload(blob, { condition, id, inContainer }));
  }

  async remove(name: string, abortSignal: AbortSignal): Promise<void> {
    const blob = this.#container.getBlobClient(name);
    await this.#inContainer(abortSignal, () => blob.delete({ abortSignal }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    return Promise.resolve();
  }

  /**
   * Looks for the container before the first request, and creates it if it is missing and may be:
   * a server that refuses a large body may leave the connection hanging.
   */
  async #inContainer<T>(abortSignal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (!this.#known) await this.#findContainer(abortSignal);
    this.#known = true;
    return work();
  }

  async #findContainer(abortSignal: AbortSignal): Promise<void> {
    const mayCreate = this.#config.storage_create_container;
    try {
      await this.#container.getProperties({ abortSignal });
      return;
    } catch (thrown) {
      const isMissing = isMissingContainer(this.words.failureOf(thrown));
      // A shared access signature may be for the blobs alone.
      if (!isMissing && !mayCreate && isDenied(this.words.failureOf(thrown))) return;
      if (!isMissing || !mayCreate) throw thrown;
    }
    const { succeeded } = await this.#container.createIfNotExists({ abortSignal });
    if (succeeded) this.#effects.log.info('created the container', { container: this.name });
  }
}

function pageOf(
  blobs: readonly Sdk.BlobItem[],
  prefixes: readonly { readonly name: string }[],
  next: string | undefined,
): Page {
  const objects = blobs.map(({ name, properties: { contentLength, lastModified } }) => ({
    name,
    ...(contentLength === undefined ? {} : { sizeBytes: contentLength }),
    modifiedMs: lastModified.getTime(),
  }));
  return {
    entries: [...objects, ...prefixes.map(({ name }) => ({ name }))],
    next: next === '' ? undefined : next,
  };
}
