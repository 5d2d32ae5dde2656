import { METRIC_NAME } from '#/model/labels.ts';
import type { RE2JS } from 're2js';
import { compileWhole, groupText } from '#/model/regex.ts';
import { EvaluationError } from '../evaluation-error.ts';
import type { OutputSeries } from './operator.ts';

export type Relabel = (series: OutputSeries) => OutputSeries;

export interface LabelReplacement {
  readonly target: string;
  readonly replacement: string;
  readonly source: string;
  readonly pattern: string;
}

/**
 * `label_replace`: sets a label to the replacement where the whole of another label matches.
 * @throws EvaluationError if the pattern or the label name is not valid.
 */
export function labelReplace({ target, replacement, source, pattern }: LabelReplacement): Relabel {
  const regex = compile(pattern);
  checkLabelName(target, 'destination', 'label_replace');
  return (series) => {
    const matcher = regex.matcher(series.labels.get(source));
    if (!matcher.matches()) return series;
    const value = expand(replacement, (group) => groupText(regex, matcher, group));
    return withLabel(series, target, value);
  };
}

/** `label_join`: sets a label to the values of others with a separator in between. */
export function labelJoin(target: string, separator: string, sources: readonly string[]): Relabel {
  for (const source of sources) checkLabelName(source, 'source', 'label_join');
  checkLabelName(target, 'destination', 'label_join');
  return (series) => {
    const value = sources.map((source) => series.labels.get(source)).join(separator);
    return withLabel(series, target, value);
  };
}

function withLabel({ labels, dropName }: OutputSeries, name: string, value: string): OutputSeries {
  return { labels: labels.with(name, value), dropName: name === METRIC_NAME ? false : dropName };
}

function compile(pattern: string): RE2JS {
  try {
    return compileWhole(pattern);
  } catch (cause) {
    const message = `invalid regular expression in label_replace(): ${pattern}`;
    throw new EvaluationError(message, { cause });
  }
}

function checkLabelName(name: string, role: string, functionName: string): void {
  if (name !== '' && name.isWellFormed()) return;
  throw new EvaluationError(`invalid ${role} label name in ${functionName}(): ${name}`);
}

/**
 * Replaces `$1`, `${1}`, `$name`, `${name}` and `$$` as Expand of Go's regexp package: a name is as
 * long as it can be, a group that is not there is empty, and a `$` that begins none of these stays.
 */
function expand(template: string, groupOf: (name: string) => string): string {
  return template.replaceAll(/\$(?:\$|(\w+)|\{(\w+)\})/g, (whole, plain, braced) => {
    if (whole === '$$') return '$';
    return groupOf(String(plain ?? braced));
  });
}
