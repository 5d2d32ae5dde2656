/** Random numbers as the components see them; a simulation passes in a seeded one. */
export interface Random {
  /** Uniform in `[0, 1)`. */
  next(): number;
}

export const systemRandom: Random = { next: () => Math.random() };

/**
 * The same numbers for the same seed, on every machine.
 * Algorithm: mulberry32, a 32-bit mixing generator; good enough for faults and test data, not for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    },
  };
}

/** A whole number in `[low, high]`. */
export function randomInteger(random: Random, low: number, high: number): number {
  return low + Math.floor(random.next() * (high - low + 1));
}

/** One of `items`, which must not be empty. */
export function randomItem<T>(random: Random, items: readonly T[]): T {
  return items[randomInteger(random, 0, items.length - 1)] as T;
}
