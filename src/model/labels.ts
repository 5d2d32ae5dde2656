import { compareUtf8 } from '#/lib/utf8.ts';

export const METRIC_NAME = '__name__';

/** One `name="value"` pair. */
export interface Label {
  readonly name: string;
  readonly value: string;
}

/**
 * An immutable label set: names unique and in byte order, no empty values (an absent label and an
 * empty one are the same thing in Prometheus). Order everywhere is that of UTF-8 bytes.
 */
export class Labels implements Iterable<Label> {
  static readonly empty = new Labels([]);

  /** Names and values in turn: `[name, value, name, value, …]`. */
  readonly #flat: readonly string[];
  #key: string | undefined;

  private constructor(flat: readonly string[]) {
    this.#flat = flat;
  }

  /** Takes pairs in any order; the last of equal names wins and empty values are dropped. */
  static from(pairs: Iterable<Label>): Labels {
    const byName = new Map<string, string>();
    for (const { name, value } of pairs) byName.set(name, value);
    return Labels.#sorted(byName);
  }

  static fromObject(object: Readonly<Record<string, string>>): Labels {
    return Labels.#sorted(new Map(Object.entries(object)));
  }

  /**
   * Adopts `[name, value, …]` without a look at it: the caller has it sorted by name, without
   * duplicates and empty values, and does not change it afterwards. For decoders.
   */
  static fromSortedFlat(flat: readonly string[]): Labels {
    return flat.length === 0 ? Labels.empty : new Labels(flat);
  }

  static #sorted(byName: Map<string, string>): Labels {
    const flat: string[] = [];
    const names = [...byName.keys()].sort(compareUtf8);
    for (const name of names) {
      const value = byName.get(name)!;
      if (value !== '') flat.push(name, value);
    }
    return Labels.fromSortedFlat(flat);
  }

  get size(): number {
    return this.#flat.length / 2;
  }

  /** `[name, value, name, value, …]` in name order; for encoders and hot loops. */
  get flat(): readonly string[] {
    return this.#flat;
  }

  /** A string that is equal exactly for equal label sets; for map keys. */
  get key(): string {
    return (this.#key ??= uniqueKey(this.#flat));
  }

  /** The value of `name`, or `''` when the label is absent. */
  get(name: string): string {
    const flat = this.#flat;
    for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) return flat[i + 1]!;
    return '';
  }

  has(name: string): boolean {
    return this.get(name) !== '';
  }

  /** This set with `name` set to `value`; an empty value removes it. */
  with(name: string, value: string): Labels {
    return this.merge([{ name, value }]);
  }

  /** This set overridden by `others`. */
  merge(others: Iterable<Label>): Labels {
    return Labels.from([...this, ...others]);
  }

  /** The labels whose names are not in `names`. */
  without(names: ReadonlySet<string>): Labels {
    return this.#filter((name) => !names.has(name));
  }

  /** The labels whose names are in `names`. */
  only(names: ReadonlySet<string>): Labels {
    return this.#filter((name) => names.has(name));
  }

  #filter(keep: (name: string) => boolean): Labels {
    const flat: string[] = [];
    for (let i = 0; i < this.#flat.length; i += 2) {
      if (keep(this.#flat[i]!)) flat.push(this.#flat[i]!, this.#flat[i + 1]!);
    }
    return flat.length === this.#flat.length ? this : Labels.fromSortedFlat(flat);
  }

  equals(other: Labels): boolean {
    return this === other || compareLabels(this, other) === 0;
  }

  *[Symbol.iterator](): Iterator<Label> {
    for (let i = 0; i < this.#flat.length; i += 2) {
      yield { name: this.#flat[i]!, value: this.#flat[i + 1]! };
    }
  }

  toObject(): Record<string, string> {
    const object: Record<string, string> = {};
    for (const { name, value } of this) object[name] = value;
    return object;
  }

  toJSON(): Record<string, string> {
    return this.toObject();
  }

  /** As Prometheus prints a label set: `{a="1", b="2"}`, names that need it in quotes. */
  toString(): string {
    const parts = Array.from(this, ({ name, value }) => `${quoteName(name)}=${quote(value)}`);
    return `{${parts.join(', ')}}`;
  }

  /** As Prometheus prints a series: `metric{a="1"}`. */
  toMetricString(): string {
    const metric = this.get(METRIC_NAME);
    if (metric === '' || !isLegacyMetricName(metric)) return this.toString();
    const rest = this.without(new Set([METRIC_NAME]));
    return rest.size === 0 ? metric : metric + rest.toString();
  }
}

/** Name by name, then value; a set that is the beginning of another comes first. */
export function compareLabels(a: Labels, b: Labels): number {
  const left = a.flat;
  const right = b.flat;
  const shared = Math.min(left.length, right.length);
  for (let i = 0; i < shared; i++) {
    if (left[i] === right[i]) continue;
    return compareUtf8(left[i]!, right[i]!);
  }
  return left.length - right.length;
}

/** `[a-zA-Z_][a-zA-Z0-9_]*`: a name that needs no quotes in PromQL. */
export function isLegacyLabelName(name: string): boolean {
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);
}

/** As label names, colons allowed. */
export function isLegacyMetricName(name: string): boolean {
  return /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
}

/** `\xff` hardly occurs in a label; where it does, JSON keeps the key unambiguous. */
function uniqueKey(flat: readonly string[]): string {
  const ambiguous = flat.some((text) => text.includes('\xff'));
  return ambiguous ? `\xff${JSON.stringify(flat)}` : flat.join('\xff');
}

function quoteName(name: string): string {
  return isLegacyLabelName(name) ? name : quote(name);
}

/** A Go-quoted string, as `strconv.Quote` writes it. */
export function quote(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  let quoted = '"';
  for (const char of text) quoted += escapes.get(char) ?? escapeUnprintable(char);
  return `${quoted}"`;
}

/** Nothing in it needs an escape. */
const PLAIN = /^[ !#-[\]-~]*$/;

const escapes = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
]);

function escapeUnprintable(char: string): string {
  if (/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(char)) return char;
  const code = char.codePointAt(0)!;
  // A byte that was no UTF-8 travels as a lone surrogate.
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
