import { formatOpenMetrics } from '#/lib/float-text.ts';
import { Labels, METRIC_NAME } from '../labels.ts';
import { parseGoFloat } from './float.ts';
import type { Scanner } from './scanner.ts';

export const metricTypes = [
  'counter',
  'gauge',
  'histogram',
  'gaugehistogram',
  'summary',
  'info',
  'stateset',
  'unknown',
] as const;
export type MetricType = (typeof metricTypes)[number];

export const METRIC_NAME_TEXT = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
export const QUOTED_NAME = /"(?:\\.|[^\\"])*"/y;
const LABEL_NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;

/**
 * A series as a line begins with it: `name`, `name{label="value",…}` or `{"name",label="value",…}`,
 * without a space anywhere. Numbers in `le` of histograms and `quantile` of summaries are written the one
 * way of OpenMetrics, as Prometheus does.
 * @throws BadInputError that says where it is not.
 */
export function parseSeries(scanner: Scanner, type: MetricType | undefined): Labels {
  let name = scanner.sees('{') ? undefined : scanner.match(METRIC_NAME_TEXT, 'a metric name');
  const labels = new Map<string, string>();
  if (scanner.accept('{')) {
    name = parseBraces(scanner, name, labels, type);
    if (name === undefined) throw scanner.error('a metric name in the braces', 0);
  }
  if (labels.has(METRIC_NAME)) throw scanner.complaint(`label ${METRIC_NAME} is the metric's name`);
  labels.set(METRIC_NAME, name!);
  const series = Labels.from([...labels].map(([label, value]) => ({ name: label, value })));
  if (series.size === 0) throw scanner.complaint('the series has neither a name nor a label', 0);
  return series;
}

/** Labels up to the closing brace; those of an exemplar too. Returns the metric's name. */
export function parseBraces(
  scanner: Scanner,
  outside: string | undefined,
  labels: Map<string, string>,
  type?: MetricType,
): string | undefined {
  let name = outside;
  while (!scanner.accept('}')) {
    const at = scanner.position;
    const isQuoted = scanner.sees('"');
    const label = isQuoted
      ? unquote(scanner.match(QUOTED_NAME, 'a closing quote'))
      : scanner.match(LABEL_NAME, 'a label name or "}"');
    if (isQuoted && (scanner.sees(',') || scanner.sees('}'))) {
      if (name !== undefined) throw scanner.complaint('the metric has a name already', at);
      name = label;
    } else {
      scanner.expect('=', isQuoted ? '"=", "," or "}"' : '"="');
      const value = unquote(scanner.match(QUOTED_NAME, 'a quoted label value'));
      if (labels.has(label)) throw scanner.complaint(`label "${label}" is there twice`, at);
      labels.set(label, normalized(type, label, value));
    }
    if (!scanner.accept(',') && !scanner.sees('}')) throw scanner.error('"," or "}"');
  }
  return name;
}

function normalized(type: MetricType | undefined, label: string, value: string): string {
  const isNumber =
    (type === 'histogram' && label === 'le') || (type === 'summary' && label === 'quantile');
  const number = isNumber ? parseGoFloat(value) : undefined;
  return number === undefined ? value : formatOpenMetrics(number);
}

/** Backslashes before anything but `"`, `\` and `n` stay. */
function unquote(text: string): string {
  const inner = text.slice(1, -1);
  if (!inner.includes('\\')) return inner;
  return inner.replace(/\\(["\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
}
