import { LimitError } from '#/lib/errors.ts';

/** What one Series call may answer (`--store.limits.*`); 0 for no limit. */
export interface StoreLimits {
  readonly requestSeries: number;
  /** Counted as 120 a chunk, whatever the chunk holds. */
  readonly requestSamples: number;
}

const SAMPLES_PER_CHUNK = 120;

/** Counts what one Series call is about to answer. */
export class LimitCounter {
  readonly #limits: StoreLimits;
  #series = 0;
  #samples = 0;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  /** @throws LimitError when this series is one too many. */
  addSeries(): void {
    this.#series++;
    check('series', this.#series, this.#limits.requestSeries);
  }

  /** @throws LimitError when these chunks hold too many samples. */
  addChunks(chunks: number): void {
    this.#samples += chunks * SAMPLES_PER_CHUNK;
    check('samples', this.#samples, this.#limits.requestSamples);
  }
}

function check(what: string, got: number, limit: number): void {
  if (limit === 0 || got <= limit) return;
  throw new LimitError(`failed to send ${what}: limit ${limit} violated (got ${got})`);
}
