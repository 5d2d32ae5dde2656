import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from './bucket.ts';
import type { Reason } from './reason.ts';

/**
 * `bucket` for one kind of work: operations that do not say what they are for are for `reason`.
 * Whoever opened `bucket` closes it; closing this view does nothing.
 */
export function withReason(bucket: Bucket, reason: Reason): Bucket {
  return new ReasonedBucket(bucket, reason);
}

class ReasonedBucket implements Bucket {
  readonly #bucket: Bucket;
  readonly #reason: Reason;

  constructor(bucket: Bucket, reason: Reason) {
    this.#bucket = bucket;
    this.#reason = reason;
  }

  get name(): string {
    return this.#bucket.name;
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ListEntry> {
    return this.#bucket.list(prefix, this.#reasoned(options));
  }

  read(name: string, options?: ReadOptions): Promise<Uint8Array> {
    return this.#bucket.read(name, this.#reasoned(options));
  }

  readStream(name: string, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#bucket.readStream(name, this.#reasoned(options));
  }

  attributes(name: string, options?: OperationOptions): Promise<ObjectAttributes | undefined> {
    return this.#bucket.attributes(name, this.#reasoned(options));
  }

  upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options?: UploadOptions,
  ): Promise<void> {
    return this.#bucket.upload(name, content, this.#reasoned(options));
  }

  remove(name: string, options?: OperationOptions): Promise<void> {
    return this.#bucket.remove(name, this.#reasoned(options));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #reasoned<Options extends OperationOptions>(options?: Options): Options | OperationOptions {
    return { ...options, reason: options?.reason ?? this.#reason };
  }
}
