/**
 * How long a range function takes over one series of a day, in nanoseconds an output step: windows of
 * 5 minutes with a sample every 15 s, moved by a minute. The window's movement is part of it.
 * Run: `npx node bench/kernels.ts`.
 */
import { Annotations } from '#/promql/annotations.ts';
import { rangeFunctions } from '#/promql/functions.ts';
import type { KernelContext, KernelResult, RangeWindow } from '#/promql/functions.ts';

const SAMPLES = 5760;
const STEPS = 1435;
const SERIES = 200;
const ROUNDS = 9;

const times = Float64Array.from({ length: SAMPLES }, (_, i) => i * 15_000);
const values = Float64Array.from({ length: SAMPLES }, (_, i) => (i % 1000) * 3);
const output = new Float64Array(STEPS);

const names = [
  'rate',
  'increase',
  'sum_over_time',
  'avg_over_time',
  'max_over_time',
  'count_over_time',
  'quantile_over_time',
  'deriv',
];
for (const name of names) {
  const nanoseconds = Array.from({ length: ROUNDS }, () => measure(name));
  const median = nanoseconds.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
  process.stdout.write(`${name}: ${median.toFixed(1)} ns a step\n`);
}

function measure(name: string): number {
  const { kernel } = rangeFunctions.get(name)!;
  const result: KernelResult = { present: false, value: 0, histogram: undefined };
  const position = { start: 0, end: 0 };
  const context: KernelContext = {
    annotations: new Annotations(),
    metricName: '',
    argPosition: position,
  };
  const window = emptyWindow();
  const start = performance.now();
  for (let series = 0; series < SERIES; series++) {
    let from = 0;
    let to = 0;
    for (let step = 0; step < STEPS; step++) {
      const end = (step + 5) * 60_000;
      while (to < SAMPLES && times[to]! <= end) to++;
      while (times[from]! <= end - 300_000) from++;
      window.from = from;
      window.to = to;
      window.rangeStart = end - 300_000;
      window.rangeEnd = end;
      result.present = false;
      kernel(window, result, context);
      output[step] = result.value;
    }
  }
  return ((performance.now() - start) * 1e6) / (STEPS * SERIES);
}

function emptyWindow(): RangeWindow {
  return {
    times,
    values,
    histograms: undefined,
    startTimes: undefined,
    counts: undefined,
    from: 0,
    to: 0,
    extension: 'none',
    rangeStart: 0,
    rangeEnd: 0,
    stepTime: 0,
    args: [0.9],
  };
}
