import { randomInteger, randomItem } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { endMs, metrics, startMs } from './data-set.ts';
import { node, optional } from './query-tree.ts';
import type { Optional, QueryNode } from './query-tree.ts';

/** When a query is evaluated; `stepMs` is 0 for an instant query, whose ends are equal. */
export interface QueryTimes {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
}

/** An instant or a range query with at most 40 steps, sometimes beyond the ends of the data. */
export function randomTimes(random: Random): QueryTimes {
  const margin = 600_000;
  const start = randomInteger(random, startMs - margin, endMs + margin);
  const first = random.next() < 0.5 ? start : Math.round(start / 60_000) * 60_000;
  if (random.next() < 0.4) return { startMs: first, endMs: first, stepMs: 0 };
  const stepMs = 1000 * randomItem(random, [1, 7, 15, 60, 60, 117, 300, 900]);
  const endsAt = first + stepMs * randomInteger(random, 0, 39);
  return { startMs: first, endMs: endsAt, stepMs };
}

/**
 * A random query of the right types; what its data says to it is another matter: duplicate series in
 * a join and parameters out of range are wanted. `depth` bounds how deep operators nest.
 *
 * Functions whose last digits differ from machine to machine stand only at the very outside, where
 * nothing can make much of a small difference.
 */
export function randomQuery(random: Random, depth = randomInteger(random, 0, 4)): QueryNode {
  const query = new Generator(random);
  const roll = random.next();
  if (roll < 0.05) return query.scalar(depth);
  if (roll < 0.15) return query.rough(depth);
  return query.vector(depth);
}

/** Whether the order of the series of an instant query's answer is part of it. */
export function isOrdered(text: string): boolean {
  return /^\(*(sort|sort_desc|sort_by_label|sort_by_label_desc|topk|bottomk)\b/.test(text);
}

type Part = string | Optional | QueryNode;

const scalar = node('scalar');
const vector = node('vector');
const matrix = node('matrix');

const labels = ['instance', 'zone', 'le', 'job', 'n', 'group', '__name__', 'absent'];
const periods = ['10s', '30s', '1m', '90s', '2m', '5m', '5m', '17m', '1h'];
const numbers = [
  '0',
  '1',
  '2',
  '-1',
  '0.5',
  '0.25',
  '3',
  '0.9',
  '100',
  '-0',
  'NaN',
  'Inf',
  '-Inf',
  '1e10',
  '1.5',
  '5m',
];
const joins = [
  '',
  '',
  ' on (instance)',
  ' on (instance, zone)',
  ' ignoring (zone)',
  ' on ()',
  ' ignoring (le)',
  ' on (__name__)',
  ' on (group)',
];
const groups = [
  '',
  '',
  '',
  ' group_left ()',
  ' group_right ()',
  ' group_left (zone)',
  ' group_right (version)',
  ' group_left (__name__)',
];

/** Not `le`: 0.5 and 0.05 come before each other in Prometheus's natural order. */
const sortable = labels.filter((name) => name !== 'le');

const pointFunctions =
  'abs ceil floor sgn sqrt deg rad timestamp absent day_of_month day_of_week day_of_year ' +
  'days_in_month hour minute month year sort sort_desc start_timestamp';
const roughFunctions =
  'exp ln log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh ' +
  'histogram_stddev histogram_stdvar';
const rangeFunctions =
  'rate rate rate increase increase delta irate idelta deriv changes resets ' +
  'sum_over_time avg_over_time min_over_time max_over_time count_over_time last_over_time ' +
  'first_over_time present_over_time absent_over_time stddev_over_time stdvar_over_time ' +
  'mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time';
const aggregations = 'sum sum sum avg avg min max count group stddev stdvar';

class Generator {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  vector(depth: number): QueryNode {
    if (depth <= 0) return this.#leaf();
    const next = depth - 1;
    return this.#one([
      [2, () => this.#leaf()],
      [7, () => this.#rangeCall(next)],
      [4, () => this.#pointCall(next)],
      [6, () => this.#aggregation(next)],
      [5, () => this.#join(next)],
      [4, () => this.#withScalar(next)],
      [3, () => this.#labelCall(next)],
      [3, () => this.#histogramCall(next)],
      [1, () => vector`(${this.vector(next)})`],
      [1, () => vector`${this.#pick(['-', '+'])}${this.#operand(next)}`],
      [1, () => vector`vector(${this.scalar(next)})`],
      [1, () => vector`info(${this.vector(next)}${this.#maybe(', {version=~"v[12]"}')})`],
    ]);
  }

  scalar(depth: number): QueryNode {
    if (depth <= 0) return scalar`${this.#pick(numbers)}`;
    const next = depth - 1;
    const operators = ['+', '-', '*', '/', '%', '> bool', '== bool', '<= bool'];
    return this.#one([
      [3, () => scalar`${this.#pick(numbers)}`],
      [2, () => scalar`scalar(${this.vector(next)})`],
      [2, () => scalar`(${this.scalar(next)} ${this.#pick(operators)} ${this.scalar(next)})`],
      [1, () => scalar`${this.#pick(['time()', 'pi()', 'start()', 'end()', 'step()', 'range()'])}`],
      [
        1,
        () => scalar`${this.#pick(['min_of', 'max_of'])}(${this.scalar(0)}, ${this.scalar(next)})`,
      ],
      [1, () => scalar`(${this.#pick(['-', '+'])}${this.scalar(next)})`],
    ]);
  }

  /** Something whose last digits may differ, over something that is exact. */
  rough(depth: number): QueryNode {
    const own = (): QueryNode =>
      this.#one([
        [6, () => vector`${this.#word(roughFunctions)}(${this.vector(depth)})`],
        [1, () => vector`${this.#operand(depth)} ^ ${this.scalar(0)}`],
        [1, () => vector`${this.#operand(depth)} atan2 ${this.#operand(depth)}`],
        [3, () => vector`histogram_quantile(${this.scalar(0)}, ${this.#histograms(depth)})`],
        [2, () => this.#fraction(depth)],
        [1, () => this.#quantiles(depth)],
        [2, () => vector`${this.#operand(0)} ${this.#pick(['</', '>/'])} ${this.scalar(0)}`],
      ]);
    return this.#chance(0.3) ? vector`sum${this.#grouping()} (${own()})` : own();
  }

  #leaf(): QueryNode {
    const { floats, buckets, histograms, mixed, infos } = metrics;
    const name = this.#one<string>([
      [12, () => this.#pick(floats)],
      [3, () => this.#pick(buckets)],
      [6, () => this.#pick(histograms)],
      [1, () => this.#pick(mixed)],
      [1, () => this.#pick(infos)],
      [0.3, () => 'absent_metric'],
    ]);
    if (this.#chance(0.03)) return vector`{__name__=~"${name}|gauge"${this.#matcher(', ')}}`;
    return vector`${name}${this.#matchers()}${this.#extension()}${this.#times()}`;
  }

  #matchers(): Optional {
    if (this.#chance(0.5)) return optional('');
    return optional(`{${this.#matcher('').optional}${this.#matcher(', ').optional}}`);
  }

  #matcher(separator: string): Optional {
    if (separator !== '' && this.#chance(0.7)) return optional('');
    const text = this.#pick([
      'instance="a"',
      'instance=~"a|b"',
      'instance!="c"',
      'zone="x"',
      'zone!~"y.*"',
      'zone=""',
      'le!="+Inf"',
      'group=~"g[1-3]"',
      'n=~"1.*"',
      'absent=~".*"',
    ]);
    return optional(separator + text);
  }

  #extension(): Optional {
    return optional(this.#chance(0.03) ? ' smoothed' : '');
  }

  /** `offset` and `@`, in either order. */
  #times(): Optional {
    if (this.#chance(0.75)) return optional('');
    const seconds = Math.floor(randomInteger(this.#random, startMs, endMs) / 1000);
    const at = this.#pick(['', ' @ start()', ' @ end()', ` @ ${seconds}`, ` @ ${seconds}.123`]);
    const offset = this.#pick(['', ' offset 5m', ' offset -3m', ' offset 37s', ' offset 1h']);
    return optional(this.#chance(0.5) ? at + offset : offset + at);
  }

  #range(depth: number): QueryNode {
    if (depth > 0 && this.#chance(0.35)) return this.#subquery(depth - 1);
    const { floats, buckets, histograms, mixed } = metrics;
    const name = this.#pick([
      ...floats,
      ...floats,
      ...floats,
      ...buckets,
      ...histograms,
      ...histograms,
      ...mixed,
    ]);
    const extension = optional(this.#chance(0.08) ? this.#pick([' anchored', ' smoothed']) : '');
    const range = this.#pick(periods);
    return matrix`${name}${this.#matchers()}[${range}]${extension}${this.#times()}`;
  }

  #subquery(depth: number): QueryNode {
    const range = this.#pick(['1m', '5m', '10m', '17m', '33m']);
    const step = this.#pick(['', '30s', '1m', '47s', '2m', '10m']);
    return matrix`${this.#operand(depth)}[${range}:${step}]${this.#times()}`;
  }

  #rangeCall(depth: number): QueryNode {
    const range = this.#range(depth);
    return this.#one([
      [20, () => vector`${this.#word(rangeFunctions)}(${range})`],
      [1, () => vector`predict_linear(${range}, ${this.scalar(0)})`],
      [1, () => vector`quantile_over_time(${this.scalar(depth)}, ${range})`],
      [
        1,
        () =>
          vector`double_exponential_smoothing(${range}, 0.${this.#digit()}, 0.${this.#digit()})`,
      ],
    ]);
  }

  #pointCall(depth: number): QueryNode {
    const inner = this.vector(depth);
    return this.#one([
      [10, () => vector`${this.#word(pointFunctions)}(${inner})`],
      [1, () => vector`clamp(${inner}, ${this.scalar(0)}, ${this.scalar(0)})`],
      [1, () => vector`${this.#pick(['clamp_min', 'clamp_max'])}(${inner}, ${this.scalar(depth)})`],
      [2, () => vector`round(${inner}${this.#maybe(', 0.25')})`],
      [1, () => vector`round(${inner}, ${this.scalar(0)})`],
    ]);
  }

  #aggregation(depth: number): QueryNode {
    const inner = this.vector(depth);
    const by = this.#grouping();
    return this.#one([
      [10, () => vector`${this.#word(aggregations)}${by} (${inner})`],
      [2, () => vector`${this.#pick(['topk', 'bottomk'])}${by} (${this.#count(depth)}, ${inner})`],
      [1, () => vector`quantile${by} (${this.scalar(depth)}, ${inner})`],
      [1, () => vector`count_values${by} ("${this.#pick(['v', 'instance', 'le'])}", ${inner})`],
      [1, () => vector`limitk${by} (${this.#count(depth)}, ${inner})`],
      [
        1,
        () => vector`limit_ratio${by} (${this.#pick(['0.5', '-0.3', '1', '0.1', '2'])}, ${inner})`,
      ],
    ]);
  }

  #count(depth: number): QueryNode {
    return this.#chance(0.8)
      ? scalar`${this.#pick(['1', '2', '3', '10', '0'])}`
      : this.scalar(depth);
  }

  #grouping(): Optional {
    if (this.#chance(0.35)) return optional('');
    const names = labels.filter(() => this.#chance(0.25)).join(', ');
    return optional(` ${this.#pick(['by', 'without'])} (${names})`);
  }

  #join(depth: number): QueryNode {
    const left = this.#operand(depth);
    const right = this.#chance(0.3) ? left : this.#operand(depth);
    const on = this.#pick(joins);
    if (this.#chance(0.3)) {
      return vector`${left} ${this.#pick(['and', 'or', 'unless'])}${optional(on)} ${right}`;
    }
    const operator = this.#pick(['+', '-', '*', '/', '%', '==', '!=', '<', '<=', '>', '>=']);
    const bool = this.#isComparison(operator) ? this.#maybe(' bool') : optional('');
    const group = on === '' ? '' : this.#pick(groups);
    const fill = this.#chance(0.1)
      ? this.#pick([
          ' fill (0)',
          ' fill_left (NaN)',
          ' fill_right (2)',
          ' fill_left (1) fill_right (3)',
        ])
      : '';
    return vector`${left} ${operator}${bool}${optional(on + group)}${optional(fill)} ${right}`;
  }

  #withScalar(depth: number): QueryNode {
    const operator = this.#pick(['+', '-', '*', '/', '%', '==', '!=', '<', '<=', '>', '>=']);
    const bool = this.#isComparison(operator) ? this.#maybe(' bool') : optional('');
    const sides = [this.#operand(depth), scalar`(${this.scalar(depth)})`] as const;
    const [left, right] = this.#chance(0.7) ? sides : [sides[1], sides[0]];
    return vector`${left} ${operator}${bool} ${right}`;
  }

  #labelCall(depth: number): QueryNode {
    const inner = this.vector(depth);
    const target = this.#pick(['instance', 'zone', 'new', '__name__', 'le']);
    const source = this.#pick(['instance', 'zone', 'le', 'n', 'absent', '__name__']);
    const regex = this.#pick(['(.*)', '(.).*', '', 'a|b', '([a-z]+)_(.*)', '(?P<x>.*)']);
    const replacement = this.#pick(['$1', 'x', '', '$1-$2', '${1}y', '$x']);
    return this.#one([
      [
        3,
        () =>
          vector`label_replace(${inner}, "${target}", "${replacement}", "${source}", "${regex}")`,
      ],
      [2, () => vector`label_join(${inner}, "${target}", "-", "${source}", "zone")`],
      [
        1,
        () =>
          vector`${this.#pick(['sort_by_label', 'sort_by_label_desc'])}(${inner}, "${this.#pick(sortable)}")`,
      ],
    ]);
  }

  #histogramCall(depth: number): QueryNode {
    const names = ['histogram_count', 'histogram_sum', 'histogram_avg'];
    return this.#one([
      [3, () => vector`${this.#pick(names)}(${this.#histograms(depth)})`],
      // Classic and custom buckets are interpolated linearly, so these are exact.
      [2, () => vector`histogram_quantile(${this.scalar(depth)}, ${this.#linearBuckets()})`],
      [
        1,
        () =>
          vector`histogram_fraction(${this.scalar(0)}, ${this.scalar(0)}, ${this.#linearBuckets()})`,
      ],
    ]);
  }

  #linearBuckets(): QueryNode {
    const range = this.#pick(periods);
    const name = this.#pick(['latency_seconds_bucket', 'odd_bucket', 'custom']);
    const buckets = vector`${name}${this.#matchers()}`;
    const rates = vector`rate(${name}${this.#matchers()}[${range}]${this.#times()})`;
    return this.#pick([buckets, rates, vector`sum by (le, zone) (${rates})`]);
  }

  #histograms(depth: number): QueryNode {
    const name = this.#pick([...metrics.histograms, ...metrics.mixed, 'latency_seconds_bucket']);
    const range = this.#pick(periods);
    return this.#one([
      [2, () => vector`${name}${this.#matchers()}${this.#times()}`],
      [2, () => vector`rate(${name}${this.#matchers()}[${range}]${this.#times()})`],
      [2, () => vector`sum${this.#grouping()} (rate(${name}${this.#matchers()}[${range}]))`],
      [1, () => this.vector(depth)],
    ]);
  }

  #fraction(depth: number): QueryNode {
    const bounds = [this.scalar(0), this.scalar(0)] as const;
    return vector`histogram_fraction(${bounds[0]}, ${bounds[1]}, ${this.#histograms(depth)})`;
  }

  #quantiles(depth: number): QueryNode {
    return vector`histogram_quantiles(${this.#histograms(depth)}, "q", 0.5, ${this.scalar(0)})`;
  }

  /** A vector that an operator, an offset or a subquery can stand beside. */
  #operand(depth: number): QueryNode {
    return this.#chance(0.3) ? this.#leaf() : vector`(${this.vector(depth)})`;
  }

  #isComparison(operator: string): boolean {
    return /[=<>]/.test(operator);
  }

  #maybe(text: string): Optional {
    return optional(this.#chance(0.5) ? text : '');
  }

  #word(words: string): string {
    return this.#pick(words.split(' '));
  }

  #digit(): string {
    return String(randomInteger(this.#random, 0, 9));
  }

  #pick<T>(items: readonly T[]): T {
    return randomItem(this.#random, items);
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  #one<T extends Part = QueryNode>(ways: readonly (readonly [number, () => T])[]): T {
    let roll = this.#random.next() * ways.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, make] of ways) if ((roll -= weight) < 0) return make();
    return ways[0]![1]();
  }
}
