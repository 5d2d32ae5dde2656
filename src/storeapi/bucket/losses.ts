import { CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import type { RequestTally } from '#/objstore/request-tally.ts';
import { PartialResponse } from '../store.ts';
import type { RequestLimiter } from './request-limiter.ts';

/** What goes along with the reading of one block for one request. */
export interface BlockReading {
  readonly limiter: RequestLimiter;
  readonly losses: Losses;
  /** Counts what the request asks of the bucket. */
  readonly tally: RequestTally;
  readonly signal: AbortSignal;
}

/** Reads once more what is damaged: it may have happened on the way. */
export async function twiceIfDamaged<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    return read();
  }
}

/** A block damaged from end to end must not answer with a warning for each of a million chunks. */
const MAX_TEXTS = 5;

/**
 * What cannot be read of one block. Damage is local: a chunk or a series whose bytes are wrong is
 * left out of the answer and becomes a warning, unless the request wants all or nothing.
 */
export class Losses {
  readonly #partialResponse: PartialResponse;
  readonly #block: string;
  #texts: string[] = [];
  #count = 0;
  #first: unknown;

  constructor(partialResponse: PartialResponse, block: string) {
    this.#partialResponse = partialResponse;
    this.#block = block;
  }

  get count(): number {
    return this.#count;
  }

  /** The first loss, for the log. */
  get first(): unknown {
    return this.#first;
  }

  /** Leaves a part out. @throws `thrown` if the part is not damaged, or may not be left out. */
  add(thrown: unknown): void {
    const isDamage = thrown instanceof CorruptionError || thrown instanceof NotFoundError;
    if (!isDamage || this.#partialResponse === PartialResponse.Abort) throw thrown;
    this.#first ??= thrown;
    this.#count++;
    if (this.#count <= MAX_TEXTS) this.#texts.push(messageOf(thrown));
  }

  /** `work`'s result, or `undefined` for a part that is left out. */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (thrown) {
      this.add(thrown);
      return undefined;
    }
  }

  /** The warnings since the last time. */
  take(): string[] {
    const texts = this.#texts;
    this.#texts = [];
    return texts;
  }

  /** The warnings that are left at the end of the block. */
  takeLast(): string[] {
    const more = this.#count - MAX_TEXTS;
    if (more <= 0) return this.take();
    return [...this.take(), `block ${this.#block}: ${more} more parts are damaged and left out`];
  }
}
