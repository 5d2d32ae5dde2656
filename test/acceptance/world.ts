import { HOUR_MS, MINUTE_MS, START_MS } from './scale.ts';
import type { Scale } from './scale.ts';
import { hash } from './hash.ts';

/** A range of time, half-open. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export const REPLICAS = ['a', 'b'] as const;
export type Replica = (typeof REPLICAS)[number];

/** Series of one instance, as a scrape of it has them. */
export const SERIES_AN_INSTANCE = 50;

/**
 * What is true of the machines and of the Prometheuses that watch them: when an instance is down,
 * when it begins anew, when a Prometheus is away and when only its scrapes of one instance fail.
 * Everything follows from numbers, so that any block can be made by itself, again and again.
 */
export class World {
  readonly scale: Scale;
  readonly #end: number;
  readonly #spans = new Map<string, readonly Span[]>();

  constructor(scale: Scale) {
    this.scale = scale;
    this.#end = START_MS + scale.days * 24 * HOUR_MS;
  }

  get instances(): number {
    return Math.max(1, Math.ceil(this.scale.series / SERIES_AN_INSTANCE));
  }

  /** The first scrape at or after `time`: every Prometheus has its own moment for each target. */
  firstScrape(replica: Replica, instance: number, time: number): number {
    const who = this.scale.inStep ? '' : replica;
    return this.#firstAfter(hash(`scrape ${who} ${instance}`), time);
  }

  /** Rules are evaluated at moments that follow from their group alone. */
  firstEvaluation(group: number, time: number): number {
    return this.#firstAfter(hash(`group ${group}`), time);
  }

  /** Every few days for some minutes: nothing of it is scraped, and its counters begin anew. */
  down(instance: number): readonly Span[] {
    return this.#spansOf(`down ${instance}`, 5 * 24 * HOUR_MS, [2 * MINUTE_MS, 30 * MINUTE_MS]);
  }

  /** When counters of the instance begin anew: after it was down, and now and then in between. */
  restarts(instance: number): readonly Span[] {
    const short = this.#spansOf(`restart ${instance}`, 3 * 24 * HOUR_MS, [1, 1000]);
    return [...this.down(instance), ...short].sort((a, b) => a.to - b.to);
  }

  /** A Prometheus is away, and leaves no markers. */
  away(replica: Replica): readonly Span[] {
    return this.#spansOf(`away ${replica}`, 36 * HOUR_MS, [MINUTE_MS, 15 * MINUTE_MS]);
  }

  /** The network between the two fails: the series end with a marker and come again. */
  failing(replica: Replica, instance: number): readonly Span[] {
    return this.#spansOf(`failing ${replica} ${instance}`, 12 * HOUR_MS, [1000, 10 * MINUTE_MS]);
  }

  /** When the one short-lived process of the number was there. */
  life(number: number): Span {
    const length = (this.scale.days * 24 * HOUR_MS) / 8;
    const at = START_MS + (hash(`life ${number}`) / 2 ** 32) * 7 * length;
    return { from: at, to: at + length };
  }

  #firstAfter(phase: number, time: number): number {
    const { intervalMs } = this.scale;
    const offset = phase % intervalMs;
    return Math.ceil((time - offset) / intervalMs) * intervalMs + offset;
  }

  #spansOf(key: string, meanMs: number, [shortest, longest]: readonly [number, number]) {
    const known = this.#spans.get(key);
    if (known !== undefined) return known;
    const spans: Span[] = [];
    const next = (i: number) => hash(`${key} at ${i}`) / 2 ** 32;
    for (let from = START_MS + 2 * meanMs * next(0); from < this.#end;) {
      const to = from + shortest + (longest - shortest) * next(spans.length + 0.25);
      spans.push({ from: Math.floor(from), to: Math.floor(to) });
      from = to + 2 * meanMs * next(spans.length + 0.5);
    }
    this.#spans.set(key, spans);
    return spans;
  }
}

/** Those of `spans` that touch `[from, to)`. */
export function touching(spans: readonly Span[], { from, to }: Span): readonly Span[] {
  return spans.filter((span) => span.from < to && span.to > from);
}

export function isIn(spans: readonly Span[], time: number): boolean {
  for (const { from, to } of spans) if (time >= from && time < to) return true;
  return false;
}
