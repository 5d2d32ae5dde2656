import type { Clock } from '#/lib/clock.ts';
import { CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { BUCKET_INDEX_NAME, NewerFormatError, decodeBucketIndex } from './bucket-index.ts';
import type { BucketIndex } from './bucket-index.ts';

export interface BucketIndexReaderOptions {
  readonly bucket: Bucket;
  /** An older index is not used: whoever writes it has died, and its marks are of the past. */
  readonly maxAgeMs: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What became of an attempt to get an index. */
type Outcome = 'used' | 'missing' | 'old' | 'damaged' | 'newer-format' | 'unreachable';

interface Loaded {
  readonly index: BucketIndex;
  readonly version: string;
  /** When this process first had it: a writer's clock that is ahead does not keep it young. */
  readonly seenMs: number;
}

/** Follows the index of a bucket, and says when there is none that can be relied on. */
export class BucketIndexReader {
  readonly #options: BucketIndexReaderOptions;
  readonly #metrics;
  #loaded: Loaded | undefined;
  #last: Outcome | undefined;

  constructor(options: BucketIndexReaderOptions) {
    this.#options = { ...options, bucket: withReason(options.bucket, 'sync') };
    const { metrics, clock } = options;
    this.#metrics = {
      loads: metrics.counter({
        name: 'hindsight_bucket_index_loads_total',
        help: 'Looks at the bucket index, by whether it was used, or why not.',
        labels: ['outcome'],
      }),
      blocks: metrics.gauge({
        name: 'hindsight_bucket_index_blocks',
        help: 'Blocks in the bucket index that is in use; 0 while none is.',
      }),
      generation: metrics.gauge({
        name: 'hindsight_bucket_index_generation',
        help: 'Generation of the bucket index that was read last.',
      }),
    };
    metrics.gaugeFrom(
      {
        name: 'hindsight_bucket_index_age_seconds',
        help: 'Age of the bucket index that was read last; 0 before the first.',
      },
      () => (this.#loaded === undefined ? 0 : ageMs(this.#loaded, clock.now()) / 1000),
    );
  }

  /**
   * The index, read again only if it has changed; `undefined` if there is none to rely on, which is
   * logged and counted. One that cannot be read now does not take away the one that was read before.
   */
  async load(signal: AbortSignal): Promise<BucketIndex | undefined> {
    const { clock, maxAgeMs } = this.#options;
    const trouble = await this.#follow(signal);
    const loaded = this.#loaded;
    if (loaded !== undefined && ageMs(loaded, clock.now()) <= maxAgeMs) {
      return this.#use(loaded.index, trouble);
    }
    const old = `it is more than ${Math.round(maxAgeMs / 60_000)} minutes old; is its compactor running?`;
    this.#refuse(trouble ?? { outcome: 'old', reason: old });
    return undefined;
  }

  /** What kept it from bringing `#loaded` up to date, if something did. */
  async #follow(signal: AbortSignal): Promise<Trouble | undefined> {
    const { bucket, clock } = this.#options;
    try {
      const version = (await bucket.attributes(BUCKET_INDEX_NAME, { signal }))?.version;
      if (version === undefined) return { outcome: 'missing', reason: 'there is none' };
      if (version === this.#loaded?.version) return undefined;
      const index = await this.#read(signal);
      this.#loaded = { index, version, seenMs: clock.now() };
      this.#metrics.generation.set(index.generation);
      return undefined;
    } catch (thrown) {
      signal.throwIfAborted();
      return { outcome: outcomeOf(thrown), reason: messageOf(thrown) };
    }
  }

  /** What arrives damaged is read once more: it may be whole in the bucket. */
  async #read(signal: AbortSignal): Promise<BucketIndex> {
    try {
      return await this.#readOnce(signal);
    } catch (thrown) {
      if (!(thrown instanceof CorruptionError)) throw thrown;
      return this.#readOnce(signal);
    }
  }

  async #readOnce(signal: AbortSignal): Promise<BucketIndex> {
    const { bucket } = this.#options;
    const bytes = await bucket.read(BUCKET_INDEX_NAME, { fresh: true, signal });
    return decodeBucketIndex(bytes, `${bucket.name}/${BUCKET_INDEX_NAME}`, this.#loaded?.index);
  }

  #use(index: BucketIndex, trouble: Trouble | undefined): BucketIndex {
    const { log } = this.#options;
    const { generation, blocks } = index;
    if (trouble !== undefined) {
      log.warn('the bucket index cannot be read; the one read before is used while it is young', {
        err: trouble.reason,
        generation,
      });
    } else if (this.#last !== 'used') {
      log.info('blocks are found through the bucket index', { generation, blocks: blocks.size });
    }
    this.#note('used', blocks.size);
    return index;
  }

  #refuse({ outcome, reason }: Trouble): void {
    if (this.#last !== outcome) {
      this.#options.log.warn('the bucket index cannot be used; every block is looked at', {
        outcome,
        reason,
      });
    }
    this.#note(outcome, 0);
  }

  #note(outcome: Outcome, blocks: number): void {
    this.#last = outcome;
    this.#metrics.loads.inc({ outcome });
    this.#metrics.blocks.set(blocks);
  }
}

interface Trouble {
  readonly outcome: Outcome;
  readonly reason: string;
}

function ageMs({ index, seenMs }: Loaded, nowMs: number): number {
  return Math.max(nowMs - index.listedMs, nowMs - seenMs);
}

function outcomeOf(thrown: unknown): Outcome {
  if (thrown instanceof CorruptionError) return 'damaged';
  if (thrown instanceof NewerFormatError) return 'newer-format';
  return thrown instanceof NotFoundError ? 'missing' : 'unreachable';
}
