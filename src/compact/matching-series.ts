import type { Matcher } from '#/model/matcher.ts';
import { printMatcher } from '#/model/matcher.ts';
import type { IndexReader } from '#/tsdb/index.ts';
import { noPostings, subtract, union } from '#/tsdb/postings.ts';
import type { Postings } from '#/tsdb/postings.ts';
import type { SeriesDeletion } from '#/tsdb/series-deletion.ts';

/**
 * Finds the series that deletions select, whatever their times, by the postings lists of an index alone:
 * cheap enough to ask of a block in the bucket whether it has any.
 */
export class MatchingSeries {
  readonly #index: IndexReader;
  readonly #known = new Map<string, Postings>();

  constructor(index: IndexReader) {
    this.#index = index;
  }

  /** How many series the block has. */
  async total(signal?: AbortSignal): Promise<number> {
    return (await this.#select([], signal)).length;
  }

  /** The series that any of the deletions selects. */
  async of(
    deletions: readonly Pick<SeriesDeletion, 'matchers' | 'except'>[],
    signal?: AbortSignal,
  ): Promise<Postings> {
    const found: Postings[] = [];
    for (const { matchers, except = [] } of deletions) {
      let selected = await this.#select(matchers, signal);
      for (const selector of except) {
        selected = subtract(selected, await this.#select(selector, signal));
      }
      found.push(selected);
    }
    return found.length === 0 ? noPostings : union(found);
  }

  async #select(matchers: readonly Matcher[], signal: AbortSignal | undefined): Promise<Postings> {
    const key = matchers.map(printMatcher).join();
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const selected =
      matchers.length === 0
        ? await this.#index.allPostings(signal)
        : await this.#index.select(matchers, signal);
    this.#known.set(key, selected);
    return selected;
  }
}
