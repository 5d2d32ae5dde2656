import { BadInputError } from '#/lib/errors.ts';
import { formatG } from '#/lib/float-text.ts';
import { compactHistogram, CounterReset, CUSTOM_BUCKETS_SCHEMA } from '#/model/histogram.ts';
import type { FloatHistogram, Span } from '#/model/histogram.ts';
import { parseSignedNumber } from './number.ts';

export interface HistogramLiteral {
  readonly histogram: FloatHistogram;
  readonly hasHint: boolean;
}

const hints: ReadonlyMap<string, CounterReset> = new Map([
  ['unknown', CounterReset.Unknown],
  ['reset', CounterReset.Yes],
  ['not_reset', CounterReset.No],
  ['gauge', CounterReset.Gauge],
]);

const numberKeys = ['schema', 'sum', 'count', 'z_bucket', 'z_bucket_w', 'offset', 'n_offset'];
const listKeys = ['buckets', 'n_buckets', 'custom_values'];

/**
 * Parses what stands between `{{` and `}}`: `schema:1 sum:2.5 count:4 buckets:[1 3] offset:-1 …`,
 * each key at most once.
 * @throws BadInputError
 */
export function parseHistogram(text: string): HistogramLiteral {
  const fields = fieldsOf(text);
  const number = (key: string) => numberField(key, fields.get(key));
  const list = (key: string) => listField(key, fields.get(key));
  const positiveBuckets = list('buckets');
  const negativeBuckets = list('n_buckets');
  const histogram = {
    counterReset: hintField(fields.get('counter_reset_hint')),
    schema: number('schema'),
    zeroThreshold: number('z_bucket_w'),
    zeroCount: number('z_bucket'),
    count: number('count'),
    sum: number('sum'),
    positiveSpans: spanOf(number('offset'), positiveBuckets),
    positiveBuckets,
    negativeSpans: spanOf(number('n_offset'), negativeBuckets),
    negativeBuckets,
    customValues: list('custom_values'),
  };
  return { histogram, hasHint: fields.has('counter_reset_hint') };
}

function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [field] of text.matchAll(/[^\s:]+:\s*\[[^\]]*\]|\S+/g)) {
    const [, key, value] = /^([a-z_]+):(.+)$/s.exec(field) ?? [];
    const isKnown = key === 'counter_reset_hint' || [...numberKeys, ...listKeys].includes(key!);
    if (!isKnown) {
      throw new BadInputError(`"${field}" is no part of a histogram; want for example sum:10`);
    }
    if (fields.has(key!)) throw new BadInputError(`duplicate key "${key}" in histogram`);
    fields.set(key!, value!.trim());
  }
  return fields;
}

function numberField(key: string, text: string | undefined): number {
  if (text === undefined) return 0;
  const value = parseSignedNumber(text);
  if (value === undefined) throw new BadInputError(`${key}: "${text}" is no number`);
  return value;
}

function listField(key: string, text: string | undefined): Float64Array {
  const items = text?.replace(/^\[|\]$/g, '').match(/\S+/g) ?? [];
  return Float64Array.from(items, (item) => numberField(key, item));
}

function hintField(text: string | undefined): CounterReset {
  const hint = hints.get(text ?? 'unknown');
  if (hint === undefined) {
    throw new BadInputError(
      `counter_reset_hint: "${text}" is unknown; use one of ${[...hints.keys()].join(', ')}`,
    );
  }
  return hint;
}

function spanOf(offset: number, buckets: Float64Array): Span[] {
  return buckets.length === 0 ? [] : [{ offset, length: buckets.length }];
}

/** A histogram in the form that scripts write it; defaults are left out. */
export function formatHistogramLiteral(full: FloatHistogram): string {
  const histogram = compactHistogram(full, Number.MAX_SAFE_INTEGER);
  const { schema, positiveSpans, negativeSpans } = histogram;
  const hint = [...hints].find(([, value]) => value === histogram.counterReset)![0];
  const parts = [
    numberPart('schema', schema),
    numberPart('count', histogram.count),
    numberPart('sum', histogram.sum),
    numberPart('z_bucket', histogram.zeroCount),
    numberPart('z_bucket_w', histogram.zeroThreshold),
    schema === CUSTOM_BUCKETS_SCHEMA ? listPart('custom_values', histogram.customValues) : '',
    hint === 'unknown' ? '' : `counter_reset_hint:${hint}`,
    numberPart('offset', positiveSpans[0]?.offset ?? 0),
    listPart('buckets', histogram.positiveBuckets),
    numberPart('n_offset', negativeSpans[0]?.offset ?? 0),
    listPart('n_buckets', histogram.negativeBuckets),
  ];
  return `{{${parts.filter((part) => part !== '').join(' ')}}}`;
}

function numberPart(key: string, value: number): string {
  return value === 0 ? '' : `${key}:${formatG(value)}`;
}

function listPart(key: string, values: Float64Array): string {
  return values.length === 0 ? '' : `${key}:[${Array.from(values, formatG).join(' ')}]`;
}
