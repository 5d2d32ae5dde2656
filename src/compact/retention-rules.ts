import { createHash } from 'node:crypto';
import type { Labels } from '#/model/labels.ts';
import { matchExternalLabels, printMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { allTime, plainDeletion } from '#/tsdb/series-deletion.ts';
import type { PlainDeletion } from '#/tsdb/series-deletion.ts';

/** How long data are kept, by the resolution in milliseconds; for ever where nothing is said, or 0. */
export type Retentions = ReadonlyMap<number, number>;

/** How long series that one of the selectors selects are kept, if no earlier rule selects them. */
export interface RetentionRule {
  /** Of series as users see them: external labels count. */
  readonly selectors: readonly (readonly Matcher[])[];
  readonly retentions: Retentions;
}

/** The series of a block that one rule is for. */
export interface SeriesClass {
  /** Says which series: the same for the same rules up to this one, whatever their retentions. */
  readonly id: string;
  /** For people: the selectors of the rule, `other series` for what no rule selects. */
  readonly name: string;
  readonly retentions: Retentions;
  /** What takes exactly these series out of a block, each with `id`. */
  readonly deletions: readonly PlainDeletion[];
}

/**
 * Parts the series of blocks with these external labels by the rule that counts for each. Every series
 * is of one class; without rules all are of one.
 */
export function seriesClasses(
  rules: readonly RetentionRule[],
  rest: Retentions,
  externalLabels: Labels,
): readonly SeriesClass[] {
  const classes: SeriesClass[] = [];
  const before: (readonly Matcher[])[] = [];
  for (const { selectors, retentions } of rules) {
    const own = selectors
      .map((selector) => matchExternalLabels(selector, externalLabels))
      .filter((selector) => selector !== undefined);
    if (own.length === 0) continue;
    const name = selectors.map(printSelector).join(', ');
    classes.push(classOf(own, before, { name, retentions }));
    before.push(...own);
    // It selects all that earlier rules left.
    if (own.some((selector) => selector.length === 0)) return classes;
  }
  return [...classes, classOf([[]], before, { name: 'other series', retentions: rest })];
}

function classOf(
  selectors: readonly (readonly Matcher[])[],
  except: readonly (readonly Matcher[])[],
  { name, retentions }: Pick<SeriesClass, 'name' | 'retentions'>,
): SeriesClass {
  const texts = [selectors, except].map((all) => all.map(printSelector));
  const hash = createHash('sha256').update(JSON.stringify(texts)).digest('hex').slice(0, 16);
  const id = `retention-${hash}`;
  const deletions = selectors.map((matchers) =>
    plainDeletion({ id, matchers, except: [...except], intervals: [allTime] }),
  );
  return { id, name, retentions, deletions };
}

function printSelector(matchers: readonly Matcher[]): string {
  return `{${matchers.map(printMatcher).join(',')}}`;
}
