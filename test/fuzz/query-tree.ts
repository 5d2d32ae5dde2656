export type QueryType = 'scalar' | 'vector' | 'matrix';

/** A text that can be left out without making the query wrong: a modifier, a matcher. */
export interface Optional {
  readonly optional: string;
}

/** A random query as the pieces of its text, so that pieces can be taken out of it. */
export interface QueryNode {
  readonly type: QueryType;
  readonly parts: readonly (string | Optional | QueryNode)[];
}

/**
 * A node from a template: `node('vector')`rate(${matrix})``.
 * What stands in a string is kept, an `optional()` or a node may go when a query is minimised.
 */
export function node(type: QueryType) {
  return (
    texts: TemplateStringsArray,
    ...values: readonly (string | Optional | QueryNode)[]
  ): QueryNode => ({
    type,
    parts: texts.flatMap((text, i) => (values[i] === undefined ? [text] : [text, values[i]])),
  });
}

export function optional(text: string): Optional {
  return { optional: text };
}

export function textOf(query: QueryNode): string {
  return query.parts
    .map((part) => {
      if (typeof part === 'string') return part;
      return 'optional' in part ? part.optional : textOf(part);
    })
    .join('');
}

const simplest: Readonly<Record<QueryType, QueryNode>> = {
  scalar: { type: 'scalar', parts: ['1'] },
  vector: { type: 'vector', parts: ['gauge'] },
  matrix: { type: 'matrix', parts: ['gauge[5m]'] },
};

/** Queries that are one step simpler, the greatest steps first. */
export function* simplerThan(query: QueryNode): Generator<QueryNode, void> {
  yield* partsOf(query, query.type);
  const least = simplest[query.type];
  if (textOf(query).length > textOf(least).length) yield least;
  for (const [i, part] of query.parts.entries()) {
    if (typeof part === 'string') continue;
    const withPart = (changed: string | QueryNode): QueryNode => ({
      ...query,
      parts: query.parts.with(i, changed),
    });
    if ('optional' in part) {
      if (part.optional !== '') yield withPart('');
    } else {
      for (const simpler of simplerThan(part)) yield withPart(simpler);
    }
  }
}

/** Every part of a query, at any depth, that has the type. */
export function* partsOf(query: QueryNode, type: QueryType): Generator<QueryNode, void> {
  for (const part of query.parts) {
    if (typeof part === 'string' || 'optional' in part) continue;
    if (part.type === type) yield part;
    yield* partsOf(part, type);
  }
}

/**
 * The simplest query found for which `fails` still holds, with at most `attempts` calls of it.
 * `query` itself must fail.
 */
export async function minimise(
  query: QueryNode,
  fails: (simpler: QueryNode) => Promise<boolean>,
  attempts = 300,
): Promise<QueryNode> {
  let smallest = query;
  for (let again = true; again && attempts > 0;) {
    again = false;
    for (const simpler of simplerThan(smallest)) {
      if (attempts-- <= 0) break;
      if (!(await fails(simpler))) continue;
      smallest = simpler;
      again = true;
      break;
    }
  }
  return smallest;
}
