import { quote } from '#/model/labels.ts';
import type { VectorMatching } from '../ast.ts';
import { parseNumberOrDuration, atNumberOrDuration } from './duration.ts';
import { unquote } from './literals.ts';
import type { TokenStream } from './token-stream.ts';
import { canNameLabel, startsExpression } from './tokens.ts';

export interface BinaryModifiers {
  readonly returnBool: boolean;
  readonly matching: VectorMatching;
}

/** `bool`, `on` or `ignoring`, `group_left` or `group_right`, `fill…`: in this order, each optional. */
export function parseBinaryModifiers(p: TokenStream): BinaryModifiers {
  const returnBool = p.accept('bool') !== undefined;
  return { returnBool, matching: { ...parseLabelMatching(p), fill: parseFill(p) } };
}

function parseLabelMatching(p: TokenStream): Omit<VectorMatching, 'fill'> {
  if (!p.at('on') && !p.at('ignoring')) {
    return { cardinality: 'one-to-one', on: false, labels: [], include: [] };
  }
  const on = p.take().type === 'on';
  const labels = parseGroupingLabels(p);
  if (!p.at('group_left') && !p.at('group_right')) {
    return { cardinality: 'one-to-one', on, labels, include: [] };
  }
  const cardinality = p.take().type === 'group_left' ? 'many-to-one' : 'one-to-many';
  // Labels may be left out where the right operand or `fill` follows.
  const include = startsExpression(p.peek().type) && !p.at('(') ? [] : parseGroupingLabels(p);
  return { cardinality, on, labels, include };
}

function parseFill(p: TokenStream): VectorMatching['fill'] {
  if (p.accept('fill') !== undefined) {
    const value = parseFillValue(p);
    return { left: value, right: value };
  }
  if (p.accept('fill_left') !== undefined) {
    const left = parseFillValue(p);
    return p.accept('fill_right') === undefined ? { left } : { left, right: parseFillValue(p) };
  }
  if (p.accept('fill_right') !== undefined) {
    const right = parseFillValue(p);
    return p.accept('fill_left') === undefined ? { right } : { left: parseFillValue(p), right };
  }
  return {};
}

function parseFillValue(p: TokenStream): number {
  p.expect('(');
  const isNegative = p.at('-');
  if (isNegative || p.at('+')) p.take();
  if (!atNumberOrDuration(p)) p.unexpected();
  const { seconds } = parseNumberOrDuration(p);
  p.expect(')');
  return isNegative ? -seconds : seconds;
}

const WHAT = 'grouping opts';

/** `(a, "b", …)`, a comma at the end allowed. */
export function parseGroupingLabels(p: TokenStream): readonly string[] {
  if (!p.at('(')) p.unexpected({ what: WHAT, expected: '"("' });
  p.take();
  const labels: string[] = [];
  while (p.accept(')') === undefined) {
    labels.push(parseGroupingLabel(p));
    if (p.accept(',') !== undefined) continue;
    if (!p.at(')')) p.unexpected({ what: WHAT, expected: '"," or ")"' });
  }
  return labels;
}

function parseGroupingLabel(p: TokenStream): string {
  const token = p.peek();
  if (canNameLabel(token.type)) return p.take().text;
  if (token.type !== 'STRING') p.unexpected({ what: WHAT, expected: 'label' });
  p.take();
  const label = unquote(token.text);
  if (label === '' || !label.isWellFormed()) {
    p.fail(token.start, `invalid label name for grouping: ${quote(label)}`);
  }
  return label;
}
