/** An operator as `query_explain` and `analysis` give it, here or in Thanos. */
export interface TreeNode {
  readonly name: string;
  readonly children?: readonly TreeNode[];
  readonly executionTime?: string;
  readonly selfTime?: string;
  readonly series?: number;
  readonly totalSamples?: number;
  readonly bytes?: number;
  readonly fanout?: readonly Source[];
}

interface Source {
  readonly endpointAddr?: string;
  readonly duration?: string;
  readonly bytesProcessed?: number;
  readonly series?: number;
  readonly chunks?: number;
  readonly samples?: number;
}

interface Explained extends TreeNode {
  readonly passes?: readonly { readonly name: string; readonly changed: boolean }[];
  readonly logicalPlan?: string;
}

/** The operators as a tree; then, where they are known, the logical plan and what changed it. */
export function printExplanation(root: Explained): string {
  const { passes = [], logicalPlan } = root;
  const changed = passes.filter((pass) => pass.changed).map(({ name }) => name);
  const plan =
    logicalPlan === undefined
      ? []
      : [
          '',
          'Before the passes of the planner:',
          ...logicalPlan.split('\n').map((line) => `  ${line}`),
          `Passes that changed it: ${changed.length === 0 ? 'none' : changed.join(', ')}`,
        ];
  return text([...branches(root).map(({ tree }) => tree), ...plan]);
}

/** What each operator took and gave, beside the tree of them. */
export function printAnalysis(root: TreeNode): string {
  const rows = branches(root).map(({ node, tree }) => [
    node.executionTime ?? '',
    node.selfTime ?? '',
    String(node.series ?? ''),
    String(node.totalSamples ?? ''),
    String(node.bytes ?? ''),
    tree,
  ]);
  const heads = ['total', 'self', 'series', 'samples', 'bytes', 'operator'];
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...rows.map((row) => row[i]!.length)),
  );
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === heads.length - 1 ? cell : cell.padStart(widths[i]!))).join('  ');
  const sources = branches(root).flatMap(({ node }) =>
    (node.fanout ?? []).map((source) => `${node.name}: ${describe(source)}`),
  );
  return text([line(heads), ...rows.map(line), ...sources]);
}

interface Branch {
  readonly node: TreeNode;
  /** Its line, with the lines that lead to it. */
  readonly tree: string;
}

function branches(node: TreeNode): Branch[] {
  const { children = [] } = node;
  const below = children.flatMap((child, i) => {
    const [first, rest] = i === children.length - 1 ? ['└─ ', '   '] : ['├─ ', '│  '];
    return branches(child).map(({ node: inner, tree }, k) => ({
      node: inner,
      tree: (k === 0 ? first : rest) + tree,
    }));
  });
  return [{ node, tree: node.name }, ...below];
}

function describe(source: Source): string {
  const { endpointAddr = 'local', duration = '0s', bytesProcessed = 0 } = source;
  const { series = 0, chunks = 0, samples = 0 } = source;
  return (
    `${endpointAddr} sent ${series} series, ${chunks} chunks, ${samples} samples, ` +
    `${bytesProcessed} bytes in ${duration}`
  );
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
