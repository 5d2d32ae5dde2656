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
