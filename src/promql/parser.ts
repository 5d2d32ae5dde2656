import { Labels, METRIC_NAME } from '#/model/labels.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { Expression } from './ast.ts';
import { checkTypes } from './parser/check-types.ts';
import { stableFeatures } from './parser/features.ts';
import type { ParserFeatures } from './parser/features.ts';
import { parseBinary } from './parser/precedence.ts';
import { parseLabelSet, parseVectorSelector } from './parser/selector.ts';
import { TokenStream } from './parser/token-stream.ts';
import { canNameMetric } from './parser/tokens.ts';
import type { Token } from './parser/tokens.ts';

export { PromqlParseError } from './parser/parse-error.ts';
export { stableFeatures } from './parser/features.ts';
export type { ParserFeatures } from './parser/features.ts';

/**
 * Parses and checks a PromQL expression. Takes time and memory in proportion to the text; an
 * expression of more than 1000 levels, 500 of them nested, is an error: whoever walks one may recurse.
 * @throws PromqlParseError for the first mistake, worded as Prometheus 3.14 does.
 */
export function parseExpression(
  text: string,
  features: Partial<ParserFeatures> = stableFeatures,
): Expression {
  const p = new TokenStream(text, { ...stableFeatures, ...features });
  if (p.at('EOF')) p.fail(0, 'no expression found in input');
  const expression = parseBinary(p);
  p.expect('EOF');
  checkTypes(text, expression);
  return expression;
}

/**
 * Parses a selector of series as it stands in `match[]`: `metric`, `{a="b"}` or both. Unlike in an
 * expression it may match everything.
 * @throws PromqlParseError
 */
export function parseMatchers(text: string): readonly Matcher[] {
  const p = new TokenStream(text, stableFeatures);
  const { matchers } = parseVectorSelector(p, takeMetricName(p));
  p.expect('EOF');
  return matchers;
}

/**
 * Parses the name of a series: `metric{a="b"}`, where each part may be absent.
 * @throws PromqlParseError
 */
export function parseMetric(text: string): Labels {
  const p = new TokenStream(text, stableFeatures);
  const name = takeMetricName(p);
  const labels = Labels.from(parseLabelSet(p));
  p.expect('EOF');
  return name === undefined ? labels : labels.with(METRIC_NAME, name.text);
}

function takeMetricName(p: TokenStream): Token | undefined {
  return canNameMetric(p.peek().type) ? p.take() : undefined;
}
