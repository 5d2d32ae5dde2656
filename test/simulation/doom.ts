import { newDeletion, putDeletion } from '#/blocks/series-deletions.ts';
import type { DeletionRequest } from '#/blocks/series-deletions.ts';
import type { RetentionRule } from '#/compact/retention-rules.ts';
import type { Random } from '#/lib/random.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { MemoryBucket } from '#/objstore/memory.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { DOOMED } from './truth.ts';

const MATCHERS = [newMatcher('=', '__name__', DOOMED)];

/** What takes the doomed series out of blocks early: rules of retention, and people who ask for it. */
export class Doom {
  readonly #ruleMs: number;
  readonly #now: () => number;
  /** How far ahead of the true time a clock may be. */
  readonly #skewMs: number;
  /** Requests, each with the time from which on it was in the bucket. */
  readonly requests: { readonly request: DeletionRequest; readonly atMs: number }[] = [];

  /** The rule keeps them for `ruleMs`; 0 for no rule. */
  constructor(ruleMs: number, { now, skewMs }: { now: () => number; skewMs: number }) {
    this.#ruleMs = ruleMs;
    this.#now = now;
    this.#skewMs = skewMs;
  }

  get rules(): RetentionRule[] {
    if (this.#ruleMs === 0) return [];
    const all = [Resolution.Raw, Resolution.FiveMinutes, Resolution.OneHour];
    const retentions = new Map(all.map((resolution) => [resolution, this.#ruleMs]));
    return [{ selectors: [MATCHERS], retentions }];
  }

  /** From when on the samples of a metric must be there. */
  keptFromMs(metric: string): number {
    if (metric !== DOOMED) return Number.NEGATIVE_INFINITY;
    return Math.max(this.#ruleKeepsFromMs(this.#skewMs), this.deletedUntilMs() + 1);
  }

  /** Until when they must be gone, when everything has had its time. */
  goneUntilMs(): number {
    return Math.max(this.#ruleKeepsFromMs(-this.#skewMs) - 1, this.deletedUntilMs());
  }

  /** Until when requests that were there at a time have deleted. */
  deletedUntilMs(atMs = Number.POSITIVE_INFINITY): number {
    const seen = this.requests.filter((one) => one.atMs <= atMs);
    return Math.max(Number.NEGATIVE_INFINITY, ...seen.map(({ request }) => request.maxt));
  }

  /** Asks for the deletion of everything until now. */
  async ask(bucket: MemoryBucket, random: Random): Promise<DeletionRequest> {
    const clock = { now: this.#now };
    const request = newDeletion({ selectors: [DOOMED] }, { clock, random });
    await putDeletion(bucket, request);
    this.requests.push({ request, atMs: this.#now() });
    return request;
  }

  #ruleKeepsFromMs(skewMs: number): number {
    return this.#ruleMs === 0 ? Number.NEGATIVE_INFINITY : this.#now() + skewMs - this.#ruleMs;
  }
}
