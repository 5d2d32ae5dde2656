import { seededRandom } from '#/lib/random.ts';

/** What happens to one request to object storage instead of, or besides, being answered. */
export type Harm =
  | { readonly kind: 'late'; readonly ms: number }
  /** 500, 503, or a connection that breaks. */
  | { readonly kind: 'error'; readonly how: 'internal' | 'unavailable' | 'reset' }
  /** A part of the answer, and then nothing; `share` of it is there. */
  | { readonly kind: 'stall'; readonly share: number }
  | { readonly kind: 'truncate'; readonly share: number }
  /** Another byte at this share of the answer. */
  | { readonly kind: 'flip'; readonly share: number; readonly mask: number }
  | { readonly kind: 'slow down' };

/** The kinds of bad weather, in the order in which they come. */
export const WEATHERS = ['late', 'errors', 'truncated', 'flipped', '429', 'stalls', 'all'] as const;
export type WeatherName = (typeof WEATHERS)[number];

const LATE_MS = 2000;

/**
 * What object storage does to each request: nothing until `start`, then one kind of harm after the
 * other for `phaseMs` each, round and round, and nothing again from `end` on.
 */
export class Weather {
  readonly #random;
  readonly #phaseMs: number;
  #startMs = Number.POSITIVE_INFINITY;

  constructor(seed: number, phaseMs: number) {
    this.#random = seededRandom(seed);
    this.#phaseMs = phaseMs;
  }

  start(nowMs: number): void {
    this.#startMs = nowMs;
  }

  end(): void {
    this.#startMs = Number.POSITIVE_INFINITY;
  }

  /** `undefined` for an answer as it should be. */
  next(nowMs: number): Harm | undefined {
    if (nowMs < this.#startMs) return undefined;
    const phase = Math.floor((nowMs - this.#startMs) / this.#phaseMs);
    return this.#harm(WEATHERS[phase % WEATHERS.length]!);
  }

  #harm(weather: WeatherName): Harm | undefined {
    switch (weather) {
      case 'late':
        return { kind: 'late', ms: LATE_MS };
      case 'errors':
        return this.#chance(0.3) ? this.#error() : undefined;
      case 'truncated':
        return this.#chance(0.3) ? { kind: 'truncate', share: this.#random.next() } : undefined;
      case 'flipped':
        return this.#chance(0.3) ? this.#flip() : undefined;
      case '429':
        return this.#chance(0.8) ? { kind: 'slow down' } : undefined;
      case 'stalls':
        return this.#chance(0.1) ? { kind: 'stall', share: this.#random.next() } : undefined;
      case 'all':
        return this.#chance(0.3) ? this.#any() : undefined;
    }
  }

  #any(): Harm {
    const weathers = ['late', 'errors', 'truncated', 'flipped', '429', 'stalls'] as const;
    const weather = weathers[Math.floor(this.#random.next() * weathers.length)]!;
    return this.#harm(weather) ?? this.#error();
  }

  #error(): Harm {
    const hows = ['internal', 'unavailable', 'reset'] as const;
    return { kind: 'error', how: hows[Math.floor(this.#random.next() * hows.length)]! };
  }

  #flip(): Harm {
    const mask = 1 + Math.floor(this.#random.next() * 255);
    return { kind: 'flip', share: this.#random.next(), mask };
  }

  #chance(share: number): boolean {
    return this.#random.next() < share;
  }
}
