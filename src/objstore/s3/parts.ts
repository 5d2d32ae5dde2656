import { createHash } from 'node:crypto';
import type * as Sdk from '@aws-sdk/client-s3';
import type { ObjectAttributes } from '../bucket.ts';
import type { History } from '../remote/attempts.ts';
import type { Condition, Part, PartsUpload } from '../remote/service.ts';
import type { SdkModule } from './client.ts';
import { conditionHeaders } from './headers.ts';
import type { ObjectHeaders } from './headers.ts';

interface MultipartOptions {
  readonly sdk: SdkModule;
  readonly client: Sdk.S3Client;
  readonly headers: ObjectHeaders;
  readonly target: { readonly Bucket: string; readonly Key: string; readonly UploadId: string };
  readonly condition: Condition;
  readonly head: (signal: AbortSignal) => Promise<ObjectAttributes>;
}

/** An entity tag as S3 makes it of parts. */
const TAG_OF_PARTS = /^"[0-9a-f]{32}-\d+"$/;

/**
 * A multipart upload. Its parts cost money until it is completed or aborted.
 * Protocol: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
 */
export class MultipartUpload implements PartsUpload {
  readonly #options: MultipartOptions;
  readonly #tags: string[] = [];
  #sizeBytes = 0;

  constructor(options: MultipartOptions) {
    this.#options = options;
  }

  async send({ number, bytes, offset }: Part, _history: History, abortSignal: AbortSignal) {
    const { sdk, client, headers, target } = this.#options;
    const command = new sdk.UploadPartCommand({
      ...target,
      ...headers.customerKey,
      ...headers.checksum(bytes),
      PartNumber: number,
      Body: bytes,
      ContentLength: bytes.length,
    });
    this.#tags[number - 1] = (await client.send(command, { abortSignal })).ETag ?? '';
    this.#sizeBytes = Math.max(this.#sizeBytes, offset + bytes.length);
  }

  async finish(abortSignal: AbortSignal): Promise<void> {
    const { sdk, client, headers, target, condition } = this.#options;
    const command = new sdk.CompleteMultipartUploadCommand({
      ...target,
      ...headers.customerKey,
      ...conditionHeaders(condition),
      MultipartUpload: { Parts: this.#tags.map((ETag, i) => ({ PartNumber: i + 1, ETag })) },
    });
    await client.send(command, { abortSignal });
  }

  /** Servers that make their tags in another way are believed by the size alone. */
  async isFinished(signal: AbortSignal): Promise<boolean> {
    const { sizeBytes, version } = await this.#options.head(signal);
    if (sizeBytes !== this.#sizeBytes) return false;
    return !TAG_OF_PARTS.test(version) || version === this.#tag();
  }

  async abort(abortSignal: AbortSignal): Promise<void> {
    const { sdk, client, target } = this.#options;
    await client.send(new sdk.AbortMultipartUploadCommand(target), { abortSignal });
  }

  /** The checksum of the parts' checksums. */
  #tag(): string {
    const sums = this.#tags.map((tag) => Buffer.from(tag.replaceAll('"', ''), 'hex'));
    const sum = createHash('md5').update(Buffer.concat(sums)).digest('hex');
    return `"${sum}-${sums.length}"`;
  }
}
