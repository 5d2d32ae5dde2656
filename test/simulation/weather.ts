import { randomInteger, randomItem } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** How bad a run is; every seed has its own. Rates are per operation, from 0 to 1. */
export interface Climate {
  readonly bucketFaults: number;
  readonly crashes: number;
  readonly diskFaults: number;
  /** How far behind the truth a listing may be. */
  readonly listLagMs: number;
  /** How far off the true time a machine's clock may be. */
  readonly skewMs: number;
  readonly storms: readonly Period[];
  readonly fullDisks: readonly (Period & { readonly machine: number })[];
  /** When somebody deletes a block's directory with his own hands. */
  readonly deletionsByHandMs: readonly number[];
  /** When somebody asks for series to be deleted. */
  readonly deletionRequestsMs: readonly number[];
  /** Upper bound of the usual time that a request takes. */
  readonly latencyMs: number;
}

interface Period {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What becomes of one request to object storage. */
export interface Fate {
  /** Until it takes effect, and from there until the reply arrives. */
  readonly thereMs: number;
  readonly backMs: number;
  readonly fault: 'refused' | 'storm' | 'reply-lost' | undefined;
  /** Whether it goes on alone when its sender dies on the way. */
  readonly survivesSender: boolean;
}

export function drawClimate(random: Random, startMs: number, durationMs: number): Climate {
  const chance = (probability: number) => random.next() < probability;
  const some = (count: number, longestMs: number): Period[] =>
    Array.from({ length: count }, () => {
      const fromMs = startMs + random.next() * durationMs;
      const toMs = Math.min(startMs + durationMs, fromMs + random.next() * longestMs);
      return { fromMs, toMs };
    });
  if (chance(0.1)) return { ...fairWeather, latencyMs: 2000 };
  return {
    bucketFaults: chance(0.7) ? random.next() * 0.03 : 0,
    crashes: chance(0.7) ? random.next() * 0.003 : 0,
    diskFaults: chance(0.3) ? random.next() * 0.005 : 0,
    listLagMs: chance(0.4) ? random.next() * 20 * MINUTE_MS : 0,
    skewMs: chance(0.5) ? random.next() * 10 * MINUTE_MS : 0,
    storms: some(randomInteger(random, 0, 3), HOUR_MS),
    fullDisks: some(randomInteger(random, 0, 2), 2 * HOUR_MS).map((period) => ({
      ...period,
      machine: randomInteger(random, 0, 4),
    })),
    deletionsByHandMs: chance(0.15) ? [startMs + random.next() * durationMs] : [],
    deletionRequestsMs: chance(0.4)
      ? Array.from(
          { length: randomInteger(random, 1, 3) },
          () => startMs + Math.floor(random.next() * durationMs),
        )
      : [],
    latencyMs: randomItem(random, [20, 200, 2000]),
  };
}

export const fairWeather: Climate = {
  bucketFaults: 0,
  crashes: 0,
  diskFaults: 0,
  listLagMs: 0,
  skewMs: 0,
  storms: [],
  fullDisks: [],
  deletionsByHandMs: [],
  deletionRequestsMs: [],
  latencyMs: 100,
};

/** Decides what happens to operations; the same seed decides the same. It clears up at `quietAtMs`. */
export class Weather {
  readonly climate: Climate;
  readonly #random: Random;
  readonly #now: () => number;
  readonly #quietAtMs: number;

  constructor(climate: Climate, random: Random, now: () => number, quietAtMs: number) {
    this.climate = climate;
    this.#random = random;
    this.#now = now;
    this.#quietAtMs = quietAtMs;
  }

  get isQuiet(): boolean {
    return this.#now() >= this.#quietAtMs;
  }

  ofRequest(): Fate {
    const random = this.#random;
    const { latencyMs, bucketFaults } = this.climate;
    if (this.isQuiet) {
      const thereMs = Math.ceil(random.next() * 20);
      return { thereMs, backMs: 0, fault: undefined, survivesSender: false };
    }
    const dice = random.next();
    const isStorm = this.#isIn(this.climate.storms);
    const rate = isStorm ? 0.5 : bucketFaults;
    const refused = isStorm ? 'storm' : 'refused';
    const fault = dice < rate / 2 ? refused : dice < rate ? 'reply-lost' : undefined;
    // One in many takes minutes: longer than a lease lives.
    const slow = bucketFaults > 0 && random.next() < 0.002 ? 10 * MINUTE_MS : latencyMs;
    const thereMs = Math.ceil(random.next() * slow);
    const backMs = random.next() < 0.1 ? Math.ceil(random.next() * slow) : 0;
    return { thereMs, backMs, fault, survivesSender: random.next() < 0.5 };
  }

  /** How old the listing is that a client gets. */
  listLagMs(): number {
    const { listLagMs } = this.climate;
    return this.isQuiet || listLagMs === 0 ? 0 : Math.floor(this.#random.next() * listLagMs);
  }

  crashesNow(): boolean {
    const { crashes } = this.climate;
    return crashes > 0 && !this.isQuiet && this.#random.next() < crashes;
  }

  ofDisk(): 'refused' | 'torn' | undefined {
    const { diskFaults } = this.climate;
    if (diskFaults === 0 || this.isQuiet || this.#random.next() >= diskFaults) return undefined;
    return this.#random.next() < 0.5 ? 'refused' : 'torn';
  }

  isDiskFull(machine: number): boolean {
    if (this.isQuiet) return false;
    return this.#isIn(this.climate.fullDisks.filter((period) => period.machine === machine));
  }

  /** How far a machine's clock is off from here on. */
  skewMs(): number {
    const { skewMs } = this.climate;
    return Math.round((this.#random.next() * 2 - 1) * skewMs);
  }

  #isIn(periods: readonly Period[]): boolean {
    const now = this.#now();
    return periods.some(({ fromMs, toMs }) => now >= fromMs && now < toMs);
  }
}
