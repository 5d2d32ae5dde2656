import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExpression } from './parser.ts';
import { plainPlan, planQuery, printPlan, shardBySeries } from './planner.ts';

const query = {
  startMs: 1_000_000,
  endMs: 1_600_000,
  stepMs: 60_000,
  lookbackMs: 300_000,
  defaultStepMs: () => 60_000,
};

function planOf(text: string): string {
  return printPlan(planQuery(parseExpression(text), query));
}

test('a selector asks for its lookback, its offset and what it is for', () => {
  assert.equal(
    planOf('sum by (job) (rate(m{a="b"}[5m] offset 1m)) + -(2 * 3)'),
    `+
  sum by (job)
    rate over {a="b",__name__="m"} [640001,1540000] for rate[5m] offset 1m
  number -6`,
  );
});

test('a grouping is a hint of a selector directly below its aggregation only', () => {
  assert.equal(
    planOf('max without (x) (m)'),
    `max without (x)
  select {__name__="m"} [700001,1600000] for max without (x)`,
  );
});

test('parts fixed by @ are evaluated once', () => {
  assert.equal(
    planOf('m + sum(m @ 500)'),
    `+
  select {__name__="m"} [700001,1600000]
  once
    sum by ()
      select {__name__="m"} [200001,500000] for sum by () @ 500000`,
  );
});

test('a subquery evaluates on multiples of its step', () => {
  assert.equal(
    planOf('max_over_time(m[10m:50s])'),
    `max_over_time over subquery[10m] in 24 steps of 50s from 450000
  select {__name__="m"} [100001,1600000] for max_over_time`,
  );
});

test('selectors with equal matchers and hints share one request', () => {
  assert.equal(
    planOf('rate(m[5m]) / rate(m[5m] offset 10m)'),
    `/
  rate over {__name__="m"} [100001,1600000] for rate[5m]
  rate over {__name__="m"} [100001,1600000] for rate[5m] offset 10m`,
  );
});

test('conditions on labels of the join hold for both sides of `and`', () => {
  assert.equal(
    planOf('a{x="1",y="2"} and on (x) b{z="3"}'),
    `and
  select {x="1",y="2",__name__="a"} [700001,1600000]
  select {z="3",__name__="b",x="1"} [700001,1600000]`,
  );
});

test('conditions are not pushed where a series left out could have been an error', () => {
  const text = 'a{x="1"} * on (x) b';
  assert.equal(planOf(text), printPlan(plainPlan(parseExpression(text), query)));
});

function shardedPlanOf(text: string): string {
  return printPlan(shardBySeries(planQuery(parseExpression(text), query)));
}

test('what looks at each series by itself is marked up to the first aggregation or join', () => {
  assert.equal(
    shardedPlanOf('sum by (job) (abs(rate(m[5m])) * 2) / on () count(n)'),
    `/
  sum by (job)
    series by series
      *
        abs
          rate over {__name__="m"} [700001,1600000] for rate[5m]
        number 2
  count by ()
    series by series
      select {__name__="n"} [700001,1600000] for count by ()`,
  );
});

test('scalars of such a part are plans of their own, and what is the same at every step stays out', () => {
  assert.equal(
    shardedPlanOf('clamp_max(m, scalar(sum(n))) + on () group_left () (o @ 500)'),
    `+
  series by series
    clamp_max
      select {__name__="m"} [700001,1600000] for clamp_max
      scalar
        sum by ()
          series by series
            select {__name__="n"} [700001,1600000] for sum by ()
  once
    series by series
      select {__name__="o"} [200001,500000] @ 500000`,
  );
});

test('a subquery is such a part if its expression is', () => {
  assert.equal(
    shardedPlanOf('max_over_time(rate(m[1m])[5m:1m]) > max_over_time(sum(m)[5m:1m])').replaceAll(
      / in .*| \[.*/g,
      '',
    ),
    `>
  series by series
    max_over_time over subquery[5m]
      rate over {__name__="m"}
  max_over_time over subquery[5m]
    sum by ()
      series by series
        select {__name__="m"}`,
  );
});
