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
    const { timeMs, ...buckets } = fix;
    const fixes = { count: 1, minTimeMs: timeMs, maxTimeMs: timeMs, ...buckets };
    merge(this.#infos, text, { position, fixes });
  }

  /** A sample that starts before the one in front of it ends; counted per metric. */
  startTimeOverlap(metricName: string, position: NotePosition): void {
    merge(this.#warnings, warningTexts.startTimeOverlap(metricName), { position, occurrences: 1 });
  }

  /** Takes out what was noted so far: plain data, for `addAll` elsewhere. */
  take(): TakenNotes | undefined {
    if (this.#warnings.size + this.#infos.size === 0) return undefined;
    const taken = { warnings: new Map(this.#warnings), infos: new Map(this.#infos) };
    this.#warnings.clear();
    this.#infos.clear();
    return taken;
  }

  addAll({ warnings, infos }: TakenNotes): void {
    for (const [text, entry] of warnings) merge(this.#warnings, text, entry);
    for (const [text, entry] of infos) merge(this.#infos, text, entry);
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

/** What was noted elsewhere, by text. */
export interface TakenNotes {
  readonly warnings: ReadonlyMap<string, Entry>;
  readonly infos: ReadonlyMap<string, Entry>;
}

interface Entry {
  position: NotePosition | undefined;
  fixes?: FixSummary;
  occurrences?: number;
}

interface FixSummary {
  readonly count: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly minBucket: number;
  readonly maxBucket: number;
  readonly maxDiff: number;
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

function merge(entries: Map<string, Entry>, text: string, more: Readonly<Entry>): void {
  const { position, fixes, occurrences } = more;
  // Unlike others, those of fixes keep the first position.
  const known = fixes === undefined ? undefined : entries.get(text)?.position;
  const entry = add(entries, text, known ?? position);
  if (occurrences !== undefined) entry.occurrences = (entry.occurrences ?? 0) + occurrences;
  if (fixes !== undefined) entry.fixes = entry.fixes ? bothFixes(entry.fixes, fixes) : fixes;
}

function bothFixes(a: FixSummary, b: FixSummary): FixSummary {
  return {
    count: a.count + b.count,
    minTimeMs: Math.min(a.minTimeMs, b.minTimeMs),
    maxTimeMs: Math.max(a.maxTimeMs, b.maxTimeMs),
    minBucket: Math.min(a.minBucket, b.minBucket),
    maxBucket: Math.max(a.maxBucket, b.maxBucket),
    maxDiff: Math.max(a.maxDiff, b.maxDiff),
  };
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
