import type { Clock } from '#/lib/clock.ts';
import { CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import { ConditionError } from '#/objstore/bucket.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { isSame, lookIntoBucket } from './bucket-index/look.ts';
import {
  BUCKET_INDEX_NAME,
  HEAD_BYTES,
  NewerFormatError,
  decodeBucketIndex,
  encodeBucketIndex,
} from './bucket-index.ts';
import type { BucketIndex } from './bucket-index.ts';

export interface BucketIndexWriterOptions {
  readonly bucket: Bucket;
  /** Blocks whose metas and marks are read at once. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * `overtaken`: another writer was faster, and what it wrote stands; `newer-format`: a later release
 * writes the index, and this one leaves it alone.
 */
export type IndexOutcome = 'written' | 'unchanged' | 'overtaken' | 'newer-format';

/** An unchanged index is written again after this time, to show that somebody looks after it. */
const REFRESH_MS = 10 * 60_000;

/** The least time between two looks, and how many times as long as a look took there is rest. */
const MIN_PAUSE_MS = 5000;
const REST = 10;

/**
 * Keeps the index of a bucket up to date. Each index is made from a listing of everything that began
 * after the index before it was written, whoever wrote that: the write is under the condition that
 * the object is still the one that was there before the listing. So an older view of the bucket never
 * takes the place of a newer one, whatever the clocks say.
 */
export class BucketIndexWriter {
  readonly #options: BucketIndexWriterOptions;
  readonly #metrics;
  /** The index that was read or written last, and how its object begins, which tells it from others. */
  #known: { readonly index: BucketIndex; readonly head: Uint8Array } | undefined;
  #isChanged = false;
  #wake = new AbortController();

  constructor(options: BucketIndexWriterOptions) {
    this.#options = { ...options, bucket: withReason(options.bucket, 'sync') };
    const { metrics } = options;
    this.#metrics = {
      writes: metrics.counter({
        name: 'hindsight_bucket_index_writes_total',
        help: 'Looks at the bucket that keep its index up to date, by what became of them.',
        labels: ['outcome'],
      }),
      lastWritten: metrics.gauge({
        name: 'hindsight_bucket_index_last_written_timestamp_seconds',
        help: 'When this process last wrote the bucket index.',
      }),
      sizeBytes: metrics.gauge({
        name: 'hindsight_bucket_index_size_bytes',
        help: 'Size of the bucket index that was written last.',
      }),
    };
  }

  /** Says that blocks or marks of the bucket have changed: `follow` looks at it soon. */
  changed(): void {
    this.#isChanged = true;
    this.#wake.abort();
  }

  /**
   * Looks at the bucket at once, soon after every change, and every `intervalMs`, until `signal`
   * aborts. Failures are logged and tried again: without an index everything is only slower.
   */
  async follow(intervalMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const start = clock.now();
      this.#isChanged = false;
      await this.attempt(signal);
      const pauseMs = Math.max(MIN_PAUSE_MS, REST * (clock.now() - start));
      await sleepUntil(clock, pauseMs, signal);
      this.#wake = new AbortController();
      if (this.#isChanged) continue;
      const either = AbortSignal.any([signal, this.#wake.signal]);
      await sleepUntil(clock, Math.max(0, intervalMs - pauseMs), either);
    }
  }

  /** `write`, which logs what it throws. */
  async attempt(signal: AbortSignal): Promise<void> {
    try {
      await this.write(signal);
    } catch (thrown) {
      if (signal.aborted) return;
      this.#metrics.writes.inc({ outcome: 'failed' });
      this.#options.log.warn('the bucket index cannot be brought up to date; trying again', {
        err: messageOf(thrown),
      });
    }
  }

  /** Looks at the whole bucket and writes its index, unless the one that is there says the same. */
  async write(signal: AbortSignal): Promise<IndexOutcome> {
    const outcome = await this.#write(signal);
    this.#metrics.writes.inc({ outcome });
    return outcome;
  }

  async #write(signal: AbortSignal): Promise<IndexOutcome> {
    const { bucket, clock, log } = this.#options;
    const version = (await bucket.attributes(BUCKET_INDEX_NAME, { signal }))?.version;
    const before = await this.#indexOf(version, signal);
    if (before === 'newer-format') return before;
    const listedMs = clock.now();
    const found = await lookIntoBucket(this.#options, before, signal);
    const isRecent = before !== undefined && listedMs - before.listedMs < REFRESH_MS;
    if (isRecent && isSame(before, found)) return 'unchanged';
    const { blocks, partial } = found;
    const index = { generation: (before?.generation ?? 0) + 1, listedMs, blocks, partial };
    const bytes = await encodeBucketIndex(index);
    const condition = version === undefined ? { ifAbsent: true } : { ifMatch: version };
    try {
      await bucket.upload(BUCKET_INDEX_NAME, bytes, { ...condition, signal });
    } catch (thrown) {
      if (!(thrown instanceof ConditionError)) throw thrown;
      return 'overtaken';
    }
    this.#known = { index, head: bytes.subarray(0, HEAD_BYTES) };
    this.#metrics.lastWritten.set(clock.now() / 1000);
    this.#metrics.sizeBytes.set(bytes.length);
    log.debug('bucket index written', {
      generation: index.generation,
      blocks: blocks.size,
      bytes: bytes.length,
    });
    return 'written';
  }

  /** What is in the bucket, which is read only if this writer did not write it. */
  async #indexOf(
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<BucketIndex | 'newer-format' | undefined> {
    if (version === undefined) return undefined;
    const { bucket, log } = this.#options;
    try {
      const head = await bucket.read(BUCKET_INDEX_NAME, { length: HEAD_BYTES, signal });
      if (this.#known !== undefined && Buffer.compare(head, this.#known.head) === 0) {
        return this.#known.index;
      }
      const bytes = await bucket.read(BUCKET_INDEX_NAME, { signal });
      const index = await decodeBucketIndex(bytes, BUCKET_INDEX_NAME, this.#known?.index);
      this.#known = { index, head: bytes.subarray(0, HEAD_BYTES) };
      return index;
    } catch (thrown) {
      if (thrown instanceof NewerFormatError) {
        log.warn('the bucket index is left to a later release', { err: thrown.message });
        return 'newer-format';
      }
      if (!(thrown instanceof CorruptionError || thrown instanceof NotFoundError)) throw thrown;
      log.warn('the bucket index is of no use; it is made anew', { err: messageOf(thrown) });
      return undefined;
    }
  }
}

async function sleepUntil(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, signal).catch(() => undefined);
}
