import { Labels, METRIC_NAME } from '#/model/labels.ts';
import { parseLabelSet } from '../parser/selector.ts';
import { stableFeatures } from '../parser/features.ts';
import { TokenStream } from '../parser/token-stream.ts';
import type { SequenceValue } from './commands.ts';
import { parseSequence } from './sequence.ts';

/**
 * Parses `metric{a="b"} values…`.
 * @throws BadInputError
 */
export function parseSeries(line: string): { labels: Labels; values: SequenceValue[] } {
  const { labels, rest } = parseSeriesName(line);
  return { labels, values: parseSequence(rest) };
}

/** The labels at the beginning of a line, and what follows. Braces stand right behind the name. */
export function parseSeriesName(line: string): { labels: Labels; rest: string } {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0] ?? '';
  const behind = line.slice(name.length);
  if (!behind.startsWith('{')) {
    return { labels: Labels.fromObject({ [METRIC_NAME]: name }), rest: behind };
  }
  const p = new TokenStream(behind, stableFeatures);
  const labels = Labels.from(parseLabelSet(p));
  const rest = behind.slice(p.end);
  return { labels: name === '' ? labels : labels.with(METRIC_NAME, name), rest };
}
