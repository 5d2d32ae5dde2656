import { LimitError } from '#/lib/errors.ts';
import type { MemoryBudget } from '#/lib/memory-budget.ts';

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
  readonly #memory: MemoryBudget;

  constructor(limits: RequestLimits, memory: MemoryBudget) {
    this.#limits = limits;
    this.#memory = memory;
  }

  /** Counts `bytes` as held in memory until what is returned is disposed. */
  hold(bytes = 0): HeldBytes {
    return new HeldBytes(this.#memory, bytes);
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

/** A changing number of bytes that a part of a request holds in memory. */
export class HeldBytes implements Disposable {
  readonly #memory: MemoryBudget;
  #bytes = 0;

  constructor(memory: MemoryBudget, bytes: number) {
    this.#memory = memory;
    this.set(bytes);
  }

  /** @throws LimitError if there is no room for them, here and below. */
  set(bytes: number): void {
    const more = bytes - this.#bytes;
    if (more > 0) this.#memory.reserve(more);
    else this.#memory.release(-more);
    this.#bytes = bytes;
  }

  add(bytes: number): void {
    this.set(this.#bytes + bytes);
  }

  [Symbol.dispose](): void {
    this.set(0);
  }
}

function check(what: string, got: number, limit: number): void {
  if (limit === 0 || got <= limit) return;
  throw new LimitError(`exceeded ${what} limit: limit ${limit} violated (got ${got})`);
}
