import { formatG, formatPrecise } from '#/lib/float-text.ts';
import { warningTexts } from './annotation-texts.ts';
import type { PositionRange } from './ast.ts';
import { lineColumnAt } from './parser/parse-error.ts';

/**
 * The infos and warnings of one evaluation, each text once; of equal texts at several positions
 * that of the part evaluated last counts: operands first, from left to right. Texts are those of util/annotations in Prometheus; positions
 * become `(line:col)` when they are rendered.
 */
export class Annotations {
  readonly #warnings = new Map<string, Entry>();
  readonly #infos = new Map<string, Entry>();
  readonly #atEnd: (() => void)[] = [];

  /** Has `add` called when the evaluation is over, for what is only known then. */
  atEnd(add: () => void): void {
    this.#atEnd.push(add);
  }

  /** `text` without the `PromQL warning: ` in front. */
  warn(text: string, position?: NotePosition): void {
    add(this.#warnings, text, position);
  }

  /** `text` without the `PromQL info: ` in front. */
  info(text: string, position?: NotePosition): void {
    add(this.#infos, text, position);
  }

  /** Classic buckets that fell from one bound to the next; all steps and series make one info. */
  forcedMonotonicity(text: string, position: NotePosition, fix: MonotonicityFix): void {
    // Unlike others these keep the first position.
    const entry = add(this.#infos, text, this.#infos.get(text)?.position ?? position);
    const sofar = entry.fixes;
    if (sofar === undefined) {
      const { timeMs, ...buckets } = fix;
      entry.fixes = { count: 1, minTimeMs: timeMs, maxTimeMs: timeMs, ...buckets };
      return;
    }
    sofar.count++;
    sofar.minTimeMs = Math.min(sofar.minTimeMs, fix.timeMs);
    sofar.maxTimeMs = Math.max(sofar.maxTimeMs, fix.timeMs);
    sofar.minBucket = Math.min(sofar.minBucket, fix.minBucket);
    sofar.maxBucket = Math.max(sofar.maxBucket, fix.maxBucket);
    sofar.maxDiff = Math.max(sofar.maxDiff, fix.maxDiff);
  }

  /** A sample that starts before the one in front of it ends; counted per metric. */
  startTimeOverlap(metricName: string, position: NotePosition): void {
    const entry = add(this.#warnings, warningTexts.startTimeOverlap(metricName), position);
    entry.occurrences = (entry.occurrences ?? 0) + 1;
  }

  /** `PromQL warning: … (line:col)`, positions counted in `query`. */
  warnings(query: string): string[] {
    this.#finish();
    return render('PromQL warning: ', this.#warnings, query);
  }

  infos(query: string): string[] {
    this.#finish();
    return render('PromQL info: ', this.#infos, query);
  }

  #finish(): void {
    for (const add of this.#atEnd.splice(0)) add();
  }
}

/** What was mended in one set of classic buckets at one step. */
export interface MonotonicityFix {
  readonly timeMs: number;
  readonly minBucket: number;
  readonly maxBucket: number;
  readonly maxDiff: number;
}

/** Where an annotation points. */
export interface NotePosition extends PositionRange {
  /** The part of the query that says it, where it points at something else: at an argument. */
  readonly speaker?: PositionRange;
}

interface Entry {
  position: NotePosition | undefined;
  fixes?: FixSummary;
  occurrences?: number;
}

interface FixSummary {
  count: number;
  minTimeMs: number;
  maxTimeMs: number;
  minBucket: number;
  maxBucket: number;
  maxDiff: number;
}

function add(entries: Map<string, Entry>, text: string, position: NotePosition | undefined): Entry {
  const known = entries.get(text);
  if (known === undefined) {
    const entry: Entry = { position };
    entries.set(text, entry);
    return entry;
  }
  if (position !== undefined && isLater(position, known.position)) known.position = position;
  return known;
}

/** Whether what says `a` is evaluated after what says `b`: it encloses it, or stands behind it. */
function isLater(a: NotePosition, b: NotePosition | undefined): boolean {
  if (b === undefined) return true;
  const [left, right] = [a.speaker ?? a, b.speaker ?? b];
  if (left.start === right.start && left.end === right.end) return a.start > b.start;
  return left.start >= right.end || (left.start <= right.start && left.end >= right.end);
}

function render(prefix: string, entries: ReadonlyMap<string, Entry>, query: string): string[] {
  return Array.from(entries, ([text, { position, fixes, occurrences }]) => {
    let line = prefix + text;
    if (fixes !== undefined) line += describeFixes(fixes);
    if (occurrences !== undefined && occurrences > 1) line += ` (${occurrences} occurrences)`;
    return position === undefined ? line : `${line} (${lineColumnAt(query, position.start)})`;
  });
}

function describeFixes({ count, minTimeMs, maxTimeMs, ...buckets }: FixSummary): string {
  const { minBucket, maxBucket, maxDiff } = buckets;
  return (
    `, from buckets ${formatG(minBucket)} to ${formatG(maxBucket)}, ` +
    `with a max diff of ${formatPrecise(maxDiff, 2)}, over ${count} samples ` +
    `from ${formatSeconds(minTimeMs)} to ${formatSeconds(maxTimeMs)}`
  );
}

/** RFC 3339 with whole seconds, in UTC. */
function formatSeconds(timeMs: number): string {
  return new Date(Math.trunc(timeMs / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}
