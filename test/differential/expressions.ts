/**
 * The expressions that the differential test sends to a real Prometheus and to our engine. They are
 * products of small lists, so that every operator and function meets every kind of series.
 * The data behind them is in data-set.ts.
 */
export function expressions(): string[] {
  return [
    ...selectors,
    ...rangeFunctions(),
    ...overTimeFunctions(),
    ...pointFunctions(),
    ...aggregations(),
    ...binaryOperators(),
    ...vectorMatching,
    ...subqueries(),
    ...histograms(),
    ...nativeHistograms,
    ...labelsAndSorting,
    ...scalarsAndLiterals,
  ];
}

const selectors = [
  'gauge',
  'gauge{instance="a"}',
  'gauge{instance=~"a|b"}',
  'gauge{instance!~"a.*"}',
  'gauge{instance!="a", zone=""}',
  '{__name__=~"gauge|counter_total"}',
  '{__name__=~".*e", instance=~"[ab]"}',
  'gauge offset 10m',
  'gauge offset -10m',
  'counter_total @ end()',
  'counter_total @ start()',
  'gauge offset 90s',
  'absent_metric',
  'absent(absent_metric{a="b", c=~"d"})',
  'absent(gauge)',
  'absent_over_time(absent_metric{a="b"}[5m])',
  'absent_over_time(gappy[2m])',
  'gappy',
  'stale_gauge',
  'special',
  '-gauge',
  '+gauge',
  '-(gauge > 0)',
];

function rangeFunctions(): string[] {
  const functions = ['rate', 'increase', 'delta', 'irate', 'idelta', 'deriv', 'changes', 'resets'];
  const series = ['counter_total', 'gauge', 'gappy', 'stale_gauge', 'special'];
  const ranges = ['1m', '5m', '17m'];
  return [
    ...product(functions, series, ranges, (name, metric, range) => `${name}(${metric}[${range}])`),
    ...series.map((metric) => `rate(${metric}[5m] offset 7m)`),
    ...series.map((metric) => `predict_linear(${metric}[10m], 600)`),
    'rate(counter_total[5m] @ end())',
    'rate(counter_total[30s])',
    'increase(counter_total[1h])',
  ];
}

function overTimeFunctions(): string[] {
  const names = ['sum', 'avg', 'min', 'max', 'count', 'last', 'stddev', 'stdvar', 'present'];
  const series = ['gauge', 'gappy', 'special', 'stale_gauge'];
  return [
    ...product(
      names,
      series,
      ['1m', '10m'],
      (name, metric, range) => `${name}_over_time(${metric}[${range}])`,
    ),
    ...['0', '0.5', '0.99', '1', '-1', '2', 'NaN'].map(
      (q) => `quantile_over_time(${q}, gauge[10m])`,
    ),
  ];
}

function pointFunctions(): string[] {
  const plain = [
    'abs',
    'ceil',
    'floor',
    'exp',
    'sqrt',
    'ln',
    'log2',
    'log10',
    'sgn',
    'round',
    'sin',
    'cos',
    'tan',
    'asin',
    'acos',
    'atan',
    'sinh',
    'cosh',
    'tanh',
    'asinh',
    'acosh',
    'atanh',
    'deg',
    'rad',
    'timestamp',
  ];
  const dates = [
    'minute',
    'hour',
    'day_of_week',
    'day_of_month',
    'day_of_year',
    'days_in_month',
    'month',
    'year',
  ];
  return [
    ...product(plain, ['gauge', 'special'], [''], (name, metric) => `${name}(${metric})`),
    ...dates.map((name) => `${name}(counter_total * 1e5)`),
    ...dates.map((name) => `${name}()`),
    'clamp(gauge, -2, 3)',
    'clamp(gauge, 3, -2)',
    'clamp_min(gauge, 1)',
    'clamp_max(gauge, 1)',
    'round(gauge, 0.25)',
    'timestamp(gauge offset 5m)',
    'timestamp(timestamp(gauge))',
  ];
}

function aggregations(): string[] {
  const names = ['sum', 'avg', 'min', 'max', 'count', 'group', 'stddev', 'stdvar'];
  const groupings = [
    '',
    ' by (instance)',
    ' by (zone, absent)',
    ' without (instance)',
    ' without (instance, zone)',
  ];
  return [
    ...product(
      names,
      groupings,
      ['gauge', 'special'],
      (name, by, metric) => `${name}${by} (${metric})`,
    ),
    ...product(
      ['topk', 'bottomk'],
      ['1', '2', '100', '0'],
      ['', ' by (zone)'],
      (name, k, by) => `${name}${by} (${k}, gauge)`,
    ),
    ...['0', '0.3', '0.5', '1', '-1', '1.5'].map((q) => `quantile by (zone) (${q}, gauge)`),
    'count_values("value", round(gauge))',
    'count_values without (instance) ("value", round(gauge))',
    'sum(rate(counter_total[5m]))',
    'sum by (zone) (rate(counter_total[5m]))',
    'avg by (instance) (increase(counter_total[10m]))',
    'max without (zone) (avg_over_time(gauge[5m]))',
    'sum(sum by (instance) (gauge))',
    'topk(2, sum by (instance) (rate(counter_total[5m])))',
  ];
}

function binaryOperators(): string[] {
  const arithmetic = ['+', '-', '*', '/', '%', '^', 'atan2'];
  const comparison = ['==', '!=', '<', '<=', '>', '>='];
  return [
    ...arithmetic.flatMap((op) => [
      `gauge ${op} 2.5`,
      `2.5 ${op} gauge`,
      `gauge ${op} other_gauge`,
      `7 ${op} 2.5`,
    ]),
    ...comparison.flatMap((op) => [
      `gauge ${op} 0.5`,
      `0.5 ${op} gauge`,
      `gauge ${op} bool 0.5`,
      `gauge ${op} other_gauge`,
      `gauge ${op} bool other_gauge`,
      `1 ${op} bool 2`,
    ]),
    ...['and', 'or', 'unless'].flatMap((op) => [
      `gauge ${op} other_gauge`,
      `gauge ${op} on (instance) counter_total{zone="x"}`,
      `gauge ${op} ignoring (zone) (other_gauge > 0)`,
      `gauge ${op} absent_metric`,
    ]),
    '1 + 2 * 3 ^ 2 ^ 0.5 % 4',
    'gauge + gauge * gauge - gauge / gauge',
    'special == special',
    'special != special',
    'gauge > 0 < 2',
  ];
}

const vectorMatching = [
  'gauge * on (instance, zone) other_gauge',
  'gauge * ignoring (nothing) other_gauge',
  'gauge / on (instance) group_left () max by (instance) (other_gauge)',
  'gauge / on (instance) group_left (extra) label_replace(max by (instance) (other_gauge), "extra", "$1", "instance", "(.*)")',
  'max by (instance) (other_gauge) - on (instance) group_right () gauge',
  'sum by (instance) (gauge) / ignoring (zone) group_left sum by (instance) (other_gauge)',
  'gauge > on (instance) group_left () avg by (instance) (gauge)',
  'rate(counter_total[5m]) / on (instance, zone) group_left () gauge',
  'gauge * on () group_left () count(gauge)',
];

function subqueries(): string[] {
  const names = ['max', 'min', 'avg', 'sum', 'count', 'last', 'stddev'];
  return [
    ...names.map((name) => `${name}_over_time(gauge[10m:1m])`),
    ...names.map((name) => `${name}_over_time(rate(counter_total[2m])[10m:30s])`),
    'rate(counter_total[10m:15s])',
    'max_over_time(sum(gauge)[5m:])',
    'max_over_time(sum by (zone) (gauge)[7m:45s] offset 3m)',
    'avg_over_time(gauge[5m:1m] @ end())',
    'min_over_time(max_over_time(gauge[3m:1m])[10m:2m])',
    'quantile_over_time(0.9, gauge[10m:1m])',
    'changes(gauge[10m:1m])',
    'deriv(gauge[10m:1m])',
    'absent_over_time(absent_metric[10m:1m])',
  ];
}

function histograms(): string[] {
  const quantiles = ['0', '0.1', '0.5', '0.9', '0.99', '1', '-1', '2', 'NaN'];
  return [
    ...quantiles.map((q) => `histogram_quantile(${q}, rate(latency_seconds_bucket[5m]))`),
    ...quantiles.map(
      (q) => `histogram_quantile(${q}, sum by (le) (rate(latency_seconds_bucket[5m])))`,
    ),
    'histogram_quantile(0.5, latency_seconds_bucket)',
    'histogram_quantile(0.5, gauge)',
    'histogram_quantile(0.5, sum by (le, instance) (latency_seconds_bucket))',
    'sum(rate(latency_seconds_bucket{le="0.5"}[5m])) / sum(rate(latency_seconds_bucket{le="+Inf"}[5m]))',
  ];
}

const nativeHistograms = [
  'native',
  'native offset 10m',
  'rate(native[5m])',
  'increase(native[5m])',
  'sum(native)',
  'avg(native)',
  'sum by (zone) (rate(native[5m]))',
  'histogram_count(native)',
  'histogram_sum(native)',
  'histogram_avg(native)',
  'histogram_count(rate(native[5m]))',
  'histogram_quantile(0.5, native)',
  'histogram_quantile(0.9, rate(native[5m]))',
  'histogram_quantile(0.99, sum(rate(native[5m])))',
  'histogram_fraction(0, 1, native)',
  'histogram_fraction(-Inf, 0.5, rate(native[5m]))',
  'histogram_stddev(native)',
  'histogram_stdvar(native)',
  'native * 2',
  'native / 4',
  'native + native',
  'native - native',
  'count(native)',
  'count_over_time(native[5m])',
  'last_over_time(native[5m])',
  'sum_over_time(native[5m])',
  'avg_over_time(native[5m])',
  'resets(native[20m])',
  'changes(native[5m])',
];

const labelsAndSorting = [
  'label_replace(gauge, "copy", "$1-x", "instance", "(.*)")',
  'label_replace(gauge, "copy", "${zone}", "instance", "(?P<zone>a|b)")',
  'label_replace(gauge, "instance", "", "zone", ".*")',
  'label_replace(gauge, "copy", "x", "instance", "nothing")',
  'label_join(gauge, "both", "/", "instance", "zone")',
  'label_join(gauge, "none", "-")',
  'sort(gauge)',
  'sort_desc(gauge)',
  'sort(sum by (instance) (gauge))',
];

const scalarsAndLiterals = [
  '1',
  '-1.5e3',
  '0x1F',
  'Inf',
  'NaN',
  '1 / 0',
  '-1 / 0',
  '0 / 0',
  '5m',
  'time()',
  'time() - 100',
  'pi()',
  'vector(1)',
  'vector(time())',
  'scalar(gauge{instance="a", zone="x"})',
  'scalar(gauge)',
  'gauge * scalar(count(gauge))',
  'vector(1) or gauge',
];

function product<A, B, C>(
  a: readonly A[],
  b: readonly B[],
  c: readonly C[],
  make: (a: A, b: B, c: C) => string,
): string[] {
  return a.flatMap((x) => b.flatMap((y) => c.map((z) => make(x, y, z))));
}
