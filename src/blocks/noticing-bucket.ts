import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from '#/objstore/bucket.ts';
import { META_FILENAME } from '#/tsdb/block-meta.ts';
import { blockIdOf } from './block-files.ts';
import { markKindOf } from './markers.ts';

/**
 * `bucket`, which calls `changed` after every write that makes, marks or deletes a block, whether it
 * succeeded or not: its reply may have been lost. Whoever opened `bucket` closes it; closing this
 * view does nothing.
 */
export function noticingBucket(bucket: Bucket, changed: () => void): Bucket {
  return new NoticingBucket(bucket, changed);
}

class NoticingBucket implements Bucket {
  readonly #bucket: Bucket;
  readonly #changed: () => void;

  constructor(bucket: Bucket, changed: () => void) {
    this.#bucket = bucket;
    this.#changed = changed;
  }

  get name(): string {
    return this.#bucket.name;
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ListEntry> {
    return this.#bucket.list(prefix, options);
  }

  read(name: string, options?: ReadOptions): Promise<Uint8Array> {
    return this.#bucket.read(name, options);
  }

  readStream(name: string, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#bucket.readStream(name, options);
  }

  attributes(name: string, options?: OperationOptions): Promise<ObjectAttributes | undefined> {
    return this.#bucket.attributes(name, options);
  }

  upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options?: UploadOptions,
  ): Promise<void> {
    return this.#bucket.upload(name, content, options).finally(() => this.#notice(name));
  }

  remove(name: string, options?: OperationOptions): Promise<void> {
    return this.#bucket.remove(name, options).finally(() => this.#notice(name));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #notice(name: string): void {
    if (blockIdOf(name) === undefined) return;
    if (markKindOf(name) !== undefined || name.endsWith(`/${META_FILENAME}`)) this.#changed();
  }
}
