import type * as Sdk from '@azure/storage-blob';
import type { History } from '../remote/attempts.ts';
import type { Condition, Part, PartsUpload } from '../remote/service.ts';

interface BlockUploadOptions {
  readonly condition: Condition;
  /** Of this upload alone, so that others to the same name do not mix with it. */
  readonly id: string;
  /** Runs a request, creating the container if need be. */
  readonly inContainer: <T>(abortSignal: AbortSignal, work: () => Promise<T>) => Promise<T>;
}

/**
 * An upload in blocks, which become the blob when their list is committed. Blocks that never are
 * vanish by themselves within a week, or with the next write of the blob.
 * Protocol: https://learn.microsoft.com/rest/api/storageservices/put-block-list
 */
export class BlockUpload implements PartsUpload {
  readonly #blob: Sdk.BlockBlobClient;
  readonly #options: BlockUploadOptions;
  #parts = 0;

  constructor(blob: Sdk.BlockBlobClient, options: BlockUploadOptions) {
    this.#blob = blob;
    this.#options = options;
  }

  async send({ number, bytes }: Part, _history: History, abortSignal: AbortSignal): Promise<void> {
    this.#parts = Math.max(this.#parts, number);
    await this.#options.inContainer(abortSignal, () =>
      this.#blob.stageBlock(this.#block(number), bytes, bytes.length, { abortSignal }),
    );
  }

  async finish(abortSignal: AbortSignal): Promise<void> {
    const blocks = Array.from({ length: this.#parts }, (_, i) => this.#block(i + 1));
    const conditions = conditionsOf(this.#options.condition);
    await this.#blob.commitBlockList(blocks, { abortSignal, conditions });
  }

  async isFinished(abortSignal: AbortSignal): Promise<boolean> {
    const { committedBlocks = [] } = await this.#blob.getBlockList('committed', { abortSignal });
    return committedBlocks.some(({ name }) => name === this.#block(1));
  }

  /** There is no request for it. */
  abort(): Promise<void> {
    return Promise.resolve();
  }

  /** Ids of one blob's blocks must be equally long. */
  #block(number: number): string {
    return Buffer.from(`${this.#options.id}-${String(number).padStart(6, '0')}`).toString('base64');
  }
}

export function conditionsOf({ ifAbsent, ifMatch }: Condition): Sdk.BlobRequestConditions {
  if (ifAbsent === true) return { ifNoneMatch: '*' };
  return ifMatch === undefined ? {} : { ifMatch };
}
