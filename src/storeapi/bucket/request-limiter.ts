import { LimitError } from '#/lib/errors.ts';

/** What one request to the store gateway may fetch; 0 for no limit. */
export interface RequestLimits {
  readonly series: number;
  /** Counted as 120 a chunk. */
  readonly samples: number;
  readonly bytes: number;
}

const SAMPLES_PER_CHUNK = 120;

/** Counts what one request fetches over all its blocks. Messages are Thanos's. */
export class RequestLimiter {
  readonly #limits: RequestLimits;
  #series = 0;
  #chunks = 0;
  #bytes = 0;

  constructor(limits: RequestLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws LimitError when these are too many, here and below. */
  addSeries(count: number): void {
    this.#series += count;
    check('series', this.#series, this.#limits.series);
  }

  addChunks(count: number): void {
    this.#chunks += count;
    const { samples } = this.#limits;
    if (samples > 0)
      check('chunks', this.#chunks, Math.max(1, Math.floor(samples / SAMPLES_PER_CHUNK)));
  }

  /** Bytes from the bucket and from caches. */
  addBytes(count: number): void {
    this.#bytes += count;
    check('bytes', this.#bytes, this.#limits.bytes);
  }
}

function check(what: string, got: number, limit: number): void {
  if (limit === 0 || got <= limit) return;
  throw new LimitError(`exceeded ${what} limit: limit ${limit} violated (got ${got})`);
}
