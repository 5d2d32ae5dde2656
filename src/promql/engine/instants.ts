import type { SelectorNode } from '../planner/nodes.ts';

/** The instants at which a selector looks at its series: `first + i * stride` for every step i. */
export interface Instants {
  readonly first: number;
  /** 0 where `@` pins them all to one. */
  readonly stride: number;
  readonly last: number;
}

export function instantsOf({ grid, atMs, offsetMs }: SelectorNode): Instants {
  const first = (atMs ?? grid.startMs) - offsetMs;
  const stride = atMs === undefined ? grid.stepMs : 0;
  return { first, stride, last: first + (grid.steps - 1) * stride };
}
