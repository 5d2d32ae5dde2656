import type { Clock } from '#/lib/clock.ts';
import { NotFoundError } from '#/lib/errors.ts';
import { ConditionError } from './bucket.ts';
import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  RequestKind,
  UploadOptions,
} from './bucket.ts';
import { RequestAccounts } from './request-accounts.ts';
import type { AccountEffects } from './request-accounts.ts';
import type { RequestPrices } from './request-prices.ts';

const operations = [
  'iter',
  'get',
  'get_range',
  'exists',
  'upload',
  'delete',
  'attributes',
] as const;
type Operation = (typeof operations)[number];

export interface MeterOptions {
  /** The `bucket` label of the metrics. */
  readonly label: string;
  readonly prices: RequestPrices;
  /** Whether an operation is one request; otherwise the bucket tells of each that it sends. */
  readonly requestPerOperation: boolean;
}

/**
 * Counts and times what is done to `bucket` in Thanos's metrics, and counts its requests by what
 * they are for. Closes `bucket`.
 */
export function meteredBucket(
  bucket: Bucket,
  { label, prices, requestPerOperation }: MeterOptions,
  effects: AccountEffects,
): Bucket {
  const accounts = new RequestAccounts(label, prices, effects);
  return new MeteredBucket(bucket, new Meter(label, effects), accounts, requestPerOperation);
}

class MeteredBucket implements Bucket {
  readonly name: string;
  readonly #bucket: Bucket;
  readonly #meter: Meter;
  readonly #accounts: RequestAccounts;
  readonly #requestPerOperation: boolean;

  constructor(
    bucket: Bucket,
    meter: Meter,
    accounts: RequestAccounts,
    requestPerOperation: boolean,
  ) {
    this.name = bucket.name;
    this.#bucket = bucket;
    this.#meter = meter;
    this.#accounts = accounts;
    this.#requestPerOperation = requestPerOperation;
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ListEntry> {
    const list = this.#bucket.list(prefix, this.#counted('list', options));
    return this.#meter.stream('iter', list, options?.signal);
  }

  read(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    const operation = readOperation(options);
    return this.#meter.time(operation, options.signal, async () => {
      const bytes = await this.#bucket.read(name, this.#counted('get', options));
      this.#accounts.received(options, bytes.length);
      this.#meter.fetched(operation, bytes.length);
      this.#meter.transferred(operation, bytes.length);
      return bytes;
    });
  }

  async *readStream(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    const operation = readOperation(options);
    const stream = this.#bucket.readStream(name, this.#counted('get', options));
    let length = 0;
    for await (const piece of this.#meter.stream(operation, stream, options.signal)) {
      this.#accounts.received(options, piece.length);
      this.#meter.fetched(operation, piece.length);
      length += piece.length;
      yield piece;
    }
    this.#meter.transferred(operation, length);
  }

  attributes(name: string, options?: OperationOptions): Promise<ObjectAttributes | undefined> {
    return this.#meter.time('attributes', options?.signal, () =>
      this.#bucket.attributes(name, this.#counted('head', options)),
    );
  }

  async upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: UploadOptions = {},
  ): Promise<void> {
    let length = content instanceof Uint8Array ? content.length : 0;
    const counted =
      content instanceof Uint8Array ? content : counting(content, (bytes) => (length += bytes));
    await this.#meter.time('upload', options.signal, () =>
      this.#bucket.upload(name, counted, this.#counted('put', options)),
    );
    this.#accounts.sent(options, length);
    this.#meter.transferred('upload', length);
    this.#meter.uploaded();
  }

  remove(name: string, options?: OperationOptions): Promise<void> {
    return this.#meter.time('delete', options?.signal, () =>
      this.#bucket.remove(name, this.#counted('delete', options)),
    );
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#bucket[Symbol.asyncDispose]();
  }

  #counted<Options extends OperationOptions>(request: RequestKind, options: Options | undefined) {
    const counted = this.#accounts.counted(options);
    if (!this.#requestPerOperation) return counted;
    counted.onRequest(request);
    return { ...counted, onRequest: undefined };
  }
}

function readOperation({ offset = 0, length }: ReadOptions = {}): Operation {
  return offset === 0 && length === undefined ? 'get' : 'get_range';
}

async function* counting(
  stream: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) {
    count(piece.length);
    yield piece;
  }
}

/** The metrics of one bucket; names and buckets as objstore.go in thanos-io/objstore. */
class Meter {
  readonly #bucket: string;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #operations;
  readonly #failures;
  readonly #fetchedBytes;
  readonly #transferredBytes;
  readonly #seconds;
  readonly #lastUpload;

  constructor(bucket: string, { clock, metrics }: AccountEffects) {
    this.#bucket = bucket;
    this.#clock = clock;
    const labels = ['bucket', 'operation'] as const;
    this.#operations = metrics.counter({
      name: 'thanos_objstore_bucket_operations_total',
      help: 'Total number of all attempted operations against a bucket.',
      labels,
    });
    this.#failures = metrics.counter({
      name: 'thanos_objstore_bucket_operation_failures_total',
      help: 'Total number of operations against a bucket that failed, but were not expected to fail in certain way from caller perspective. Those errors have to be investigated.',
      labels,
    });
    this.#fetchedBytes = metrics.counter({
      name: 'thanos_objstore_bucket_operation_fetched_bytes_total',
      help: 'Total number of bytes fetched from bucket, per operation.',
      labels,
    });
    this.#transferredBytes = metrics.histogram({
      name: 'thanos_objstore_bucket_operation_transferred_bytes',
      help: 'Number of bytes transferred from/to bucket per operation.',
      labels,
      buckets: Array.from({ length: 16 }, (_, i) => 2 ** (15 + i)),
    });
    this.#seconds = metrics.histogram({
      name: 'thanos_objstore_bucket_operation_duration_seconds',
      help: 'Duration of successful operations against the bucket per operation - iter operations include time spent on each callback.',
      labels,
      buckets: [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120],
    });
    this.#lastUpload = metrics.gauge({
      name: 'thanos_objstore_bucket_last_successful_upload_time',
      help: 'Second timestamp of the last successful upload to the bucket.',
      labels: ['bucket'],
    });
    this.#lastUpload.inc({ bucket }, 0);
    for (const operation of operations) {
      this.#operations.inc({ bucket, operation }, 0);
      this.#failures.inc({ bucket, operation }, 0);
    }
  }

  async time<T>(
    operation: Operation,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const start = this.#start(operation);
    try {
      const result = await work();
      this.#done(operation, start);
      return result;
    } catch (thrown) {
      this.#failed(operation, thrown, signal);
      throw thrown;
    }
  }

  async *stream<T>(
    operation: Operation,
    items: AsyncIterable<T>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T> {
    const start = this.#start(operation);
    try {
      yield* items;
      this.#done(operation, start);
    } catch (thrown) {
      this.#failed(operation, thrown, signal);
      throw thrown;
    }
  }

  fetched(operation: Operation, bytes: number): void {
    this.#fetchedBytes.inc({ bucket: this.#bucket, operation }, bytes);
  }

  transferred(operation: Operation, bytes: number): void {
    this.#transferredBytes.observe({ bucket: this.#bucket, operation }, bytes);
  }

  uploaded(): void {
    this.#lastUpload.set({ bucket: this.#bucket }, this.#clock.now() / 1000);
  }

  #start(operation: Operation): number {
    this.#operations.inc({ bucket: this.#bucket, operation });
    return this.#clock.now();
  }

  #done(operation: Operation, start: number): void {
    const seconds = (this.#clock.now() - start) / 1000;
    this.#seconds.observe({ bucket: this.#bucket, operation }, seconds);
  }

  /** A missing object, a lost race and a caller that gave up are no failures of the provider. */
  #failed(operation: Operation, thrown: unknown, signal: AbortSignal | undefined): void {
    const expected = thrown instanceof NotFoundError || thrown instanceof ConditionError;
    if (expected || signal?.aborted === true) return;
    this.#failures.inc({ bucket: this.#bucket, operation });
  }
}
