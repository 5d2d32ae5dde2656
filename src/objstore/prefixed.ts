import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from './bucket.ts';

/**
 * The objects of `bucket` whose names begin with `prefix/`, under their names without it. Slashes
 * around the prefix do not count; a prefix of nothing else is the bucket itself. Closes `bucket`.
 */
export function prefixedBucket(bucket: Bucket, prefix: string): Bucket {
  const trimmed = prefix.replaceAll(/^\/+|\/+$/g, '');
  return trimmed === '' ? bucket : new PrefixedBucket(bucket, `${trimmed}/`);
}

class PrefixedBucket implements Bucket {
  readonly name: string;
  readonly #bucket: Bucket;
  readonly #prefix: string;

  constructor(bucket: Bucket, prefix: string) {
    this.name = `${bucket.name}/${prefix.slice(0, -1)}`;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  async *list(prefix: string, options?: ListOptions): AsyncGenerator<ListEntry> {
    for await (const entry of this.#bucket.list(this.#prefix + prefix, options)) {
      yield { ...entry, name: entry.name.slice(this.#prefix.length) };
    }
  }

  read(name: string, options?: ReadOptions): Promise<Uint8Array> {
    return this.#bucket.read(this.#prefix + name, options);
  }

  readStream(name: string, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#bucket.readStream(this.#prefix + name, options);
  }

  attributes(name: string, options?: OperationOptions): Promise<ObjectAttributes | undefined> {
    return this.#bucket.attributes(this.#prefix + name, options);
  }

  upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options?: UploadOptions,
  ): Promise<void> {
    return this.#bucket.upload(this.#prefix + name, content, options);
  }

  remove(name: string, options?: OperationOptions): Promise<void> {
    return this.#bucket.remove(this.#prefix + name, options);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#bucket[Symbol.asyncDispose]();
  }
}
