import { Labels } from '#/model/labels.ts';
import type { Answer, AnswerSeries, HistogramPoint, Point } from './answer.ts';

export type OutputFormat = 'table' | 'json' | 'sparkline';

/** An answer as text for a terminal, or as one line of JSON as the HTTP API gives it. */
export function printAnswer(answer: Answer, format: OutputFormat): string {
  const { data, warnings, infos } = answer;
  if (format === 'json') return `${JSON.stringify({ status: 'success', ...answer })}\n`;
  const notes = [...warnings, ...infos].map((note) => `# ${note}`);
  if (data.resultType === 'scalar' || data.resultType === 'string') {
    return lines([data.result[1], ...notes]);
  }
  const print = format === 'sparkline' ? sparklines : data.resultType === 'vector' ? rows : blocks;
  return lines([...print(data.result), ...notes]);
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('');
}

/** A line a series. */
function rows(all: readonly AnswerSeries[]): string[] {
  const values = all.map((series) =>
    pointsOf(series)
      .map(({ text }) => text)
      .join(' '),
  );
  return columns(all.map(nameOf), values);
}

/** The name of each series, then a line a sample. */
function blocks(all: readonly AnswerSeries[]): string[] {
  return all.flatMap((series) => {
    const points = pointsOf(series);
    const times = points.map(({ seconds }) => `  ${new Date(seconds * 1000).toISOString()}`);
    return [
      nameOf(series),
      ...columns(
        times,
        points.map(({ text }) => text),
      ),
    ];
  });
}

const BARS = '▁▂▃▄▅▆▇█';

/** A line a series: its course as bars from its least to its greatest value, which stand beside. */
function sparklines(all: readonly AnswerSeries[]): string[] {
  const points = all.map(pointsOf);
  const times = [...new Set(points.flat().map(({ seconds }) => seconds))].sort((a, b) => a - b);
  const courses = points.map((own) => {
    const byTime = new Map(own.map(({ seconds, number }) => [seconds, number]));
    const numbers = times.map((seconds) => byTime.get(seconds) ?? Number.NaN);
    const finite = numbers.filter(Number.isFinite);
    const min = finite.reduce((a, b) => Math.min(a, b), Infinity);
    const max = finite.reduce((a, b) => Math.max(a, b), -Infinity);
    const bars = numbers.map((number) => barOf(number, min, max)).join('');
    return finite.length === 0 ? bars : `${bars}  ${min} … ${max}`;
  });
  return columns(all.map(nameOf), courses);
}

/** A blank where there is no finite number. */
function barOf(number: number, min: number, max: number): string {
  if (!Number.isFinite(number)) return ' ';
  const share = max > min ? (number - min) / (max - min) : 0;
  return BARS[Math.min(BARS.length - 1, Math.floor(share * BARS.length))]!;
}

function columns(left: readonly string[], right: readonly string[]): string[] {
  const width = left.reduce((max, text) => Math.max(max, text.length), 0);
  return left.map((text, i) => `${text.padEnd(width)}  ${right[i]}`);
}

function nameOf({ metric }: AnswerSeries): string {
  return Labels.fromObject(metric).toMetricString();
}

interface PrintedPoint {
  readonly seconds: number;
  readonly text: string;
  /** Of a histogram its count. */
  readonly number: number;
}

/** Every sample of a series in time order. */
function pointsOf({
  value,
  values = [],
  histogram,
  histograms = [],
}: AnswerSeries): PrintedPoint[] {
  const floats = value === undefined ? values : [value];
  const others = histogram === undefined ? histograms : [histogram];
  return [...floats.map(floatPoint), ...others.map(histogramPoint)].sort(
    (a, b) => a.seconds - b.seconds,
  );
}

function floatPoint([seconds, text]: Point): PrintedPoint {
  return { seconds, text, number: Number(text.replace('Inf', 'Infinity')) };
}

function histogramPoint([seconds, { count, sum }]: HistogramPoint): PrintedPoint {
  return { seconds, text: `{count:${count}, sum:${sum}}`, number: Number(count) };
}
