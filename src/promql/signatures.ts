import type { FunctionSignature } from './ast.ts';

type ArgumentType = FunctionSignature['args'][number];

const VECTOR: readonly ArgumentType[] = ['vector'];
const MATRIX: readonly ArgumentType[] = ['matrix'];

/** Functions of one instant vector. */
const vectorFunctions =
  'abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_avg ' +
  'histogram_count histogram_stddev histogram_stdvar histogram_sum ln log10 log2 rad sgn sin sinh ' +
  'sort sort_desc sqrt tan tanh timestamp';

/** Functions of one range vector. */
const matrixFunctions =
  'absent_over_time avg_over_time changes count_over_time delta deriv first_over_time idelta ' +
  'increase irate last_over_time max_over_time min_over_time present_over_time rate resets ' +
  'stddev_over_time stdvar_over_time sum_over_time';

const experimentalMatrixFunctions =
  'mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time';

/** Parts of a date: of the query's time when no vector is given. */
const dateFunctions = 'day_of_month day_of_week day_of_year days_in_month hour minute month year';

/** Experimental functions of nothing that return a time or duration of the query. */
const queryFunctions = 'end range start step';

/** All functions of Prometheus 3.14; facts from promql/parser/functions.go there. */
export const signatures: ReadonlyMap<string, FunctionSignature> = byName([
  ...each(vectorFunctions, { args: VECTOR }),
  ...each(matrixFunctions, { args: MATRIX }),
  ...each(experimentalMatrixFunctions, { args: MATRIX, experimental: true }),
  ...each(dateFunctions, { args: VECTOR, variadic: 1 }),
  ...each(queryFunctions, { args: [], returns: 'scalar', experimental: true }),
  ...each('pi time', { args: [], returns: 'scalar' }),
  ...each('clamp_max clamp_min', { args: ['vector', 'scalar'] }),
  ...each('clamp', { args: ['vector', 'scalar', 'scalar'] }),
  ...each('double_exponential_smoothing', {
    args: ['matrix', 'scalar', 'scalar'],
    experimental: true,
  }),
  ...each('histogram_fraction', { args: ['scalar', 'scalar', 'vector'] }),
  ...each('histogram_quantile', { args: ['scalar', 'vector'] }),
  ...each('histogram_quantiles', {
    args: ['vector', 'string', 'scalar', 'scalar'],
    variadic: 9,
    experimental: true,
  }),
  ...each('info', { args: ['vector', 'vector'], variadic: 1, experimental: true }),
  ...each('label_join', { args: ['vector', 'string', 'string', 'string'], variadic: -1 }),
  ...each('label_replace', { args: ['vector', 'string', 'string', 'string', 'string'] }),
  ...each('max_of min_of', {
    args: ['scalar', 'scalar'],
    returns: 'scalar',
    experimental: true,
  }),
  ...each('predict_linear', { args: ['matrix', 'scalar'] }),
  ...each('quantile_over_time', { args: ['scalar', 'matrix'] }),
  ...each('round', { args: ['vector', 'scalar'], variadic: 1 }),
  ...each('scalar', { args: VECTOR, returns: 'scalar' }),
  ...each('sort_by_label sort_by_label_desc', {
    args: ['vector', 'string'],
    variadic: -1,
    experimental: true,
  }),
  ...each('start_timestamp', { args: VECTOR, experimental: true }),
  ...each('vector', { args: ['scalar'] }),
]);

/** Thanos's rates that look one sample beyond the range; only behind its own flag. */
const xSignatures = byName(each('xdelta xincrease xrate', { args: MATRIX }));

/** The function called `name`, or `undefined` where there is none. Experimental ones are found too. */
export function findSignature(
  name: string,
  { xFunctions }: { readonly xFunctions: boolean },
): FunctionSignature | undefined {
  return signatures.get(name) ?? (xFunctions ? xSignatures.get(name) : undefined);
}

function each(
  names: string,
  signature: Pick<FunctionSignature, 'args'> & Partial<FunctionSignature>,
): FunctionSignature[] {
  const defaults = { variadic: 0, returns: 'vector', experimental: false } as const;
  return names.split(' ').map((name) => ({ ...defaults, ...signature, name }));
}

function byName(list: readonly FunctionSignature[]): ReadonlyMap<string, FunctionSignature> {
  return new Map(list.map((signature) => [signature.name, signature]));
}
