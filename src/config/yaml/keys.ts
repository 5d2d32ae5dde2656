import type * as v from 'valibot';

/** The parts of valibot's schemas that lead to a nested schema. */
interface SchemaNode {
  readonly entries?: Readonly<Record<string, SchemaNode>>;
  readonly wrapped?: SchemaNode;
  readonly item?: SchemaNode;
  readonly value?: SchemaNode;
  readonly options?: readonly (SchemaNode | string)[];
}

/** The keys that `schema` knows at `path`, in the order of the schema. */
export function keysAt(schema: v.GenericSchema, path: readonly (string | number)[]): string[] {
  let nodes: SchemaNode[] = alternatives(schema as SchemaNode);
  for (const step of path) {
    nodes = nodes.flatMap((node) => {
      const next = node.entries?.[String(step)] ?? node.item ?? node.value;
      return next === undefined ? [] : alternatives(next);
    });
  }
  return [...new Set(nodes.flatMap((node) => Object.keys(node.entries ?? {})))];
}

/** The schema itself, or what its optional, union or variant wrappers hold. */
function alternatives(node: SchemaNode): SchemaNode[] {
  if (node.wrapped !== undefined) return alternatives(node.wrapped);
  const nested = node.options?.filter((option) => typeof option !== 'string') ?? [];
  return nested.length > 0 ? nested.flatMap(alternatives) : [node];
}

/** The key that `text` was probably meant to be; `undefined` when none is close. */
export function nearest(text: string, keys: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(text.length / 3)) + 1;
  for (const key of keys) {
    const distance = editDistance(text.toLowerCase(), key.toLowerCase());
    if (distance < bestDistance) {
      best = key;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and replacements between two words (Levenshtein), one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
