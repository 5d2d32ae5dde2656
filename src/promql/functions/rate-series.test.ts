import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Annotations } from '../annotations.ts';
import { rangeFunctions } from '../functions.ts';
import { StepColumn } from '../step-column.ts';
import type { KernelContext, KernelResult, RangeFunction, RangeWindow } from '../functions.ts';

const STEPS = 40;

const anyValue = fc.oneof(
  { arbitrary: fc.double({ min: -10, max: 1e6 }), weight: 4 },
  fc.constantFrom(0, -0, 1, NaN, Infinity, -Infinity),
);
const series = fc.array(fc.record({ gap: fc.integer({ min: 1, max: 60_000 }), value: anyValue }), {
  maxLength: 60,
});
const grids = fc.record({
  firstEnd: fc.integer({ min: -100_000, max: 400_000 }),
  stride: fc.integer({ min: 0, max: 100_000 }),
  rangeMs: fc.integer({ min: 1, max: 600_000 }),
});

const names = ['rate', 'increase', 'delta', 'max_over_time', 'min_over_time', 'quantile_over_time'];
const Q = 0.3;
for (const name of names) {
  test(`${name} of a whole series equals its kernel window by window`, () => {
    const definition = rangeFunctions.get(name)!;
    fc.assert(
      fc.property(series, grids, (samples, grid) => {
        let time = 0;
        const times = Float64Array.from(samples, ({ gap }) => (time += gap));
        const values = Float64Array.from(samples, ({ value }) => value);
        const whole = new StepColumn(STEPS);
        const floats = { times, values, length: times.length };
        definition.ofSeries!(floats, grid, whole, [new Float64Array(STEPS).fill(Q)], context());
        assert.deepEqual(
          samplesOf(whole),
          samplesOf(windowByWindow(definition, times, values, grid)),
        );
      }),
    );
  });
}

function windowByWindow(
  { kernel }: RangeFunction,
  times: Float64Array,
  values: Float64Array,
  { firstEnd, stride, rangeMs }: { firstEnd: number; stride: number; rangeMs: number },
): StepColumn {
  const column = new StepColumn(STEPS);
  for (let step = 0; step < STEPS; step++) {
    const rangeEnd = firstEnd + step * stride;
    const rangeStart = rangeEnd - rangeMs;
    const inside = [...times.keys()].filter((i) => times[i]! > rangeStart && times[i]! <= rangeEnd);
    if (inside.length === 0) continue;
    const window: RangeWindow = {
      times,
      values,
      histograms: undefined,
      startTimes: undefined,
      counts: undefined,
      extension: 'none',
      from: inside[0]!,
      to: inside.at(-1)! + 1,
      rangeStart,
      rangeEnd,
      stepTime: rangeEnd,
      args: [Q],
    };
    const result: KernelResult = { present: false, value: 0, histogram: undefined };
    kernel(window, result, context());
    if (result.present) column.setFloat(step, result.value);
  }
  return column;
}

function context(): KernelContext {
  return { annotations: new Annotations(), metricName: 'm', argPosition: { start: 0, end: 1 } };
}

function samplesOf({ values, present }: StepColumn): (number | undefined)[] {
  return Array.from(values, (value, step) => (present[step] === 1 ? value : undefined));
}
