import type { Matcher } from '#/model/matcher.ts';
import { METRIC_NAME } from '#/model/labels.ts';
import { printMatcher } from '#/model/matcher.ts';
import type { VectorMatching } from '../ast.ts';
import type { BinaryNode, PlanNode, SelectorNode } from './nodes.ts';
import { mapChildren } from './nodes.ts';

/**
 * Lets the right side of `and` and `unless` read only series that can have a partner: a condition on
 * a label that both sides must agree on holds for both. `and` also narrows its left side. Other
 * operators are left alone: a series that is not read could have been a duplicate, which is an error
 * that must not go away.
 */
export function pushMatchers(node: PlanNode): PlanNode {
  const pushed = mapChildren(node, pushMatchers);
  if (pushed.kind !== 'binary') return pushed;
  const { operator, left, right, matching } = pushed;
  if (operator !== 'and' && operator !== 'unless') return pushed;
  if (left.kind !== 'selector' || right.kind !== 'selector' || matching === undefined)
    return pushed;
  const narrowed: BinaryNode = { ...pushed, right: narrow(right, left, matching) };
  return operator === 'and' ? { ...narrowed, left: narrow(left, right, matching) } : narrowed;
}

/** `selector` with the conditions of `other` on labels of the join. */
function narrow(
  selector: SelectorNode,
  other: SelectorNode,
  matching: VectorMatching,
): SelectorNode {
  const known = new Set(selector.request.matchers.map(printMatcher));
  const more = other.request.matchers.filter(
    (matcher) => inJoin(matcher, matching) && !known.has(printMatcher(matcher)),
  );
  if (more.length === 0) return selector;
  const matchers = [...selector.request.matchers, ...more];
  return { ...selector, request: { ...selector.request, matchers } };
}

function inJoin({ name }: Matcher, { on, labels }: VectorMatching): boolean {
  return on ? labels.includes(name) : name !== METRIC_NAME && !labels.includes(name);
}
