import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Annotations } from '../annotations.ts';
import { rangeFunctions } from '../functions.ts';
import { StepColumn } from '../step-column.ts';
import type { KernelResult, RangeFunction, RangeWindow } from '../functions.ts';

const STEPS = 40;

const series = fc.array(
  fc.record({ gap: fc.integer({ min: 1, max: 60_000 }), value: fc.double({ min: -10, max: 1e6 }) }),
  { maxLength: 60 },
);
const grids = fc.record({
  firstEnd: fc.integer({ min: -100_000, max: 400_000 }),
  stride: fc.integer({ min: 0, max: 100_000 }),
  rangeMs: fc.integer({ min: 1, max: 600_000 }),
});

for (const name of ['rate', 'increase', 'delta']) {
  test(`${name} of a whole series equals its kernel window by window`, () => {
    const definition = rangeFunctions.get(name)!;
    fc.assert(
      fc.property(series, grids, (samples, grid) => {
        let time = 0;
        const times = Float64Array.from(samples, ({ gap }) => (time += gap));
        const values = Float64Array.from(samples, ({ value }) => value);
        const whole = new StepColumn(STEPS);
        definition.ofSeries!({ times, values, length: times.length }, grid, whole);
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
  const context = {
    annotations: new Annotations(),
    metricName: 'm',
    argPosition: { start: 0, end: 1 },
  };
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
      extension: 'none',
      from: inside[0]!,
      to: inside.at(-1)! + 1,
      rangeStart,
      rangeEnd,
      stepTime: rangeEnd,
      args: [],
    };
    const result: KernelResult = { present: false, value: 0, histogram: undefined };
    kernel(window, result, context);
    if (result.present) column.setFloat(step, result.value);
  }
  return column;
}

function samplesOf({ values, present }: StepColumn): (number | undefined)[] {
  return Array.from(values, (value, step) => (present[step] === 1 ? value : undefined));
}
