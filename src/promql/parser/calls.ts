import type {
  AggregateExpression,
  AggregationName,
  CallExpression,
  Expression,
  PositionRange,
} from '../ast.ts';
import { findSignature } from '../signatures.ts';
import { parseGroupingLabels } from './matching.ts';
import type { TokenStream } from './token-stream.ts';
import type { Token } from './tokens.ts';

/** The call that ends with the token taken last. */
export function newCall(p: TokenStream, name: Token, args: readonly Expression[]): CallExpression {
  const signature = findSignature(name.text, p.features);
  if (signature === undefined) p.fail(name.start, `unknown function with name "${name.text}"`);
  if (signature.experimental && !p.features.experimentalFunctions) {
    p.fail(name.start, `function "${name.text}" is not enabled`);
  }
  const position = { start: name.start, end: p.end };
  return { kind: 'call', function: signature, args, position };
}

export interface Grouping {
  readonly without: boolean;
  readonly grouping: readonly string[];
}

/** `by (…)` or `without (…)`, if one is there. */
export function parseGrouping(p: TokenStream): Grouping | undefined {
  if (!p.at('by') && !p.at('without')) return undefined;
  const without = p.take().type === 'without';
  return { without, grouping: parseGroupingLabels(p) };
}

const withParameter: ReadonlySet<AggregationName> = new Set<AggregationName>([
  'topk',
  'bottomk',
  'count_values',
  'quantile',
  'limitk',
  'limit_ratio',
]);

export interface AggregateParts extends Grouping {
  readonly operator: AggregationName;
  readonly args: readonly Expression[];
  readonly position: PositionRange;
}

export function newAggregate(
  p: TokenStream,
  { args, ...parts }: AggregateParts,
): AggregateExpression {
  const { operator, position } = parts;
  if (args.length === 0) p.fail(position, 'no arguments for aggregate expression provided');
  const isExperimental = operator === 'limitk' || operator === 'limit_ratio';
  if (isExperimental && !p.features.experimentalFunctions) {
    p.fail(
      position,
      `${operator}() is experimental and must be enabled with --enable-feature=promql-experimental-functions`,
    );
  }
  const wanted = withParameter.has(operator) ? 2 : 1;
  if (args.length !== wanted) {
    p.fail(
      position,
      `wrong number of arguments for aggregate expression provided, expected ${wanted}, got ${args.length}`,
    );
  }
  const expression = args[wanted - 1]!;
  if (wanted === 1) return { kind: 'aggregate', ...parts, expression };
  return { kind: 'aggregate', ...parts, expression, parameter: args[0]! };
}
