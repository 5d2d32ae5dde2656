import { BadInputError } from '#/lib/errors.ts';
import { addHistograms, subtractHistograms } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { staleNaN } from '#/model/stale.ts';
import type { SequenceValue } from './commands.ts';
import { parseHistogram } from './histogram-literal.ts';
import type { HistogramLiteral } from './histogram-literal.ts';
import { NUMBER, parseSignedNumber } from './number.ts';

const FLOATS = new RegExp(
  String.raw`^(?:(?<blank>_)|(?<base>stale|[+-]?${NUMBER})(?<step>[+-]${NUMBER})?)(?:x(?<times>\d+))?$`,
  'i',
);

/**
 * Parses the values of a series: `1 _ stale 1+2x3 {{sum:1 count:2}}x4`, separated by spaces.
 * `axN` stands for 1 + N values, `_xN` for N places without one.
 * @throws BadInputError
 */
export function parseSequence(text: string): SequenceValue[] {
  const values: SequenceValue[] = [];
  for (const item of itemsOf(text)) {
    const more = item.startsWith('{{') ? histogramItem(item) : floatItem(item);
    for (const value of more) values.push(value);
  }
  return values;
}

/** Cuts at spaces outside of `{{…}}`. */
function itemsOf(text: string): string[] {
  return text.match(/(?:\{\{.*?\}\}|[^\s{])+|\S/g) ?? [];
}

function floatItem(item: string): SequenceValue[] {
  const parts = FLOATS.exec(item)?.groups;
  if (parts === undefined) {
    throw new BadInputError(
      `"${item}" is no value of a series; want 1, _, stale, 1x3, 1+2x3 or {{…}}`,
    );
  }
  const { blank, base, step, times } = parts;
  if (blank !== undefined) {
    return Array.from({ length: times === undefined ? 1 : Number(times) }, () => omitted);
  }
  if (step !== undefined && times === undefined) {
    throw new BadInputError(`"${item}" has a step but no count; want for example ${item}x5`);
  }
  const first = base!.toLowerCase() === 'stale' ? staleNaN() : parseSignedNumber(base!)!;
  return floats(first, step === undefined ? 0 : parseSignedNumber(step)!, Number(times ?? 0));
}

const omitted: SequenceValue = { kind: 'omitted' };

/** Adds up step by step, so rounding is that of upstream. */
function floats(first: number, step: number, times: number): SequenceValue[] {
  const values: SequenceValue[] = [];
  let value = first;
  for (let i = 0; i <= times; i++) {
    values.push({ kind: 'float', value });
    if (step !== 0) value += step;
  }
  return values;
}

function histogramItem(item: string): SequenceValue[] {
  const match = /^\{\{(.*?)\}\}(?:([+-])\{\{(.*?)\}\})?(?:x(\d+))?$/.exec(item);
  if (match === null) {
    throw new BadInputError(`"${item}" is no histogram; want {{…}}, {{…}}x3 or {{…}}+{{…}}x3`);
  }
  const [, base, sign, step, times] = match;
  const first = parseHistogram(base!);
  if (step === undefined) {
    return Array.from({ length: Number(times ?? 0) + 1 }, () => valueOf(first));
  }
  if (times === undefined) throw new BadInputError(`"${item}" has a step but no count`);
  return histograms(first, parseHistogram(step), sign === '+' ? 1 : -1, Number(times));
}

function valueOf({ histogram, hasHint }: HistogramLiteral): SequenceValue {
  return { kind: 'histogram', histogram, hasHint };
}

function histograms(
  first: HistogramLiteral,
  step: HistogramLiteral,
  sign: 1 | -1,
  times: number,
): SequenceValue[] {
  const { hasHint } = step;
  const values: SequenceValue[] = [valueOf({ histogram: first.histogram, hasHint })];
  let histogram: FloatHistogram = first.histogram;
  for (let i = 0; i < times; i++) {
    const combine = sign === 1 ? addHistograms : subtractHistograms;
    const combined = combine(histogram, step.histogram);
    if (combined === undefined) {
      throw new BadInputError('exponential and custom buckets do not combine to a series');
    }
    histogram = combined.histogram;
    values.push(valueOf({ histogram, hasHint }));
  }
  return values;
}
