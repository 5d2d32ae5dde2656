import { scalarOperation } from '../engine/arithmetic.ts';
import type { PlanNode } from './nodes.ts';
import { mapChildren } from './nodes.ts';

/** Computes what only depends on numbers: `2 * 3 + step()`, `-(1)`. */
export function foldConstants(node: PlanNode): PlanNode {
  const folded = mapChildren(node, foldConstants);
  const { position, grid } = folded;
  if (folded.kind === 'step-invariant' && folded.expression.kind === 'number') {
    return { ...folded.expression, grid };
  }
  if (folded.kind === 'unary' && folded.expression.kind === 'number') {
    const { value } = folded.expression;
    return { kind: 'number', value: folded.operator === '-' ? -value : value, position, grid };
  }
  if (folded.kind !== 'binary') return folded;
  const { left, right, operator } = folded;
  if (left.kind !== 'number' || right.kind !== 'number') return folded;
  return {
    kind: 'number',
    value: scalarOperation(operator)(left.value, right.value),
    position,
    grid,
  };
}
