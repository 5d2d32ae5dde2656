import { METRIC_NAME } from '#/model/labels.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { KernelContext, KernelResult, RangeFunction, RangeWindow } from '../functions.ts';
import { infoTexts } from '../annotation-texts.ts';
import type { WindowGrid } from '../functions/rate-series.ts';
import type { RangeCallNode } from '../planner/nodes.ts';
import type { StepColumn } from '../step-column.ts';
import { MergedSeries } from './merged-series.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { histogramSamples } from './query-run.ts';
import { unnamed } from './relabel.ts';
import type { SampleSource } from './sample-source.ts';
import { readScalar } from './scalar.ts';

/** How far a window's samples reach past its ends, in milliseconds. */
export interface WindowReach {
  readonly beforeMs: number;
  readonly afterMs: number;
}

export interface RangeCallParts {
  readonly node: RangeCallNode;
  readonly definition: RangeFunction;
  readonly reach: WindowReach;
  readonly source: SampleSource;
  readonly args: readonly Operator[];
}

/** `rate(x[5m])` and the like: moves a window over the samples of one series at a time. */
export class RangeCallOperator implements Operator {
  readonly #parts: RangeCallParts;
  readonly #run: QueryRun;
  readonly #samples = new SampleBuffer();
  readonly #window: RangeWindow;
  readonly #result: KernelResult = { present: false, value: 0, histogram: undefined };
  readonly #context: KernelContext;
  #input: readonly OutputSeries[] = [];
  #merged: MergedSeries | undefined;
  #args: readonly Float64Array[] = [];
  #stepArgs: number[] = [];

  constructor(parts: RangeCallParts, run: QueryRun) {
    this.#parts = parts;
    this.#run = run;
    const { argPosition } = parts.node;
    this.#context = { annotations: run.annotations, metricName: '', argPosition };
    const { source } = parts.node;
    const extension = source.kind === 'samples' ? source.extension : 'none';
    this.#window = emptyWindow(this.#samples, extension);
  }

  async open(): Promise<readonly OutputSeries[]> {
    const { node, source, args, definition } = this.#parts;
    const [input] = await Promise.all([source.open(), ...args.map((arg) => arg.open())]);
    this.#args = args.map((arg) => readScalar(arg, node.grid.steps));
    this.#stepArgs = this.#args.map(() => 0);
    this.#window.args = this.#stepArgs;
    this.#input = input;
    const drop = unnamed(this.#run.delayedNameRemoval);
    // Below absent_over_time names do not matter, so series may not be equal for want of them.
    const keepsName = definition.keepsName || node.name === 'absent_over_time';
    const named = keepsName ? input : input.map(drop);
    this.#merged = new MergedSeries(
      named,
      this.#run.delayedNameRemoval ? 'at-different-steps' : 'never',
    );
    return this.#merged.series;
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#parts.source.readAhead?.(this.#merged!.inputsOf(order));
  }

  read(index: number, into: StepColumn): void {
    this.#merged!.read(index, into, this.#readInput);
  }

  readonly #readInput = (index: number, into: StepColumn): void => {
    const samples = this.#samples;
    samples.clear();
    into.clear();
    this.#parts.source.read(index, samples);
    const { labels } = this.#input[index]!;
    this.#context.metricName = labels.get(METRIC_NAME);
    if (samples.length > 0) this.#fill(samples, into);
    this.#noteCounter(index, into);
  };

  #fill(samples: SampleBuffer, into: StepColumn): void {
    const { node, definition } = this.#parts;
    const { source, grid } = node;
    const windows = {
      firstEnd: (source.atMs ?? grid.startMs) - source.offsetMs,
      stride: source.atMs === undefined ? grid.stepMs : 0,
      rangeMs: source.rangeMs,
    };
    const { ofSeries } = definition;
    const isPlain = samples.histograms === undefined && samples.startTimes === undefined;
    if (ofSeries !== undefined && isPlain && this.#window.extension === 'none') {
      const { total, widest } = ofSeries(samples, windows, into, this.#args, this.#context);
      this.#count(total, widest);
    } else {
      this.#slide(samples, windows, into);
    }
  }

  #slide(
    { times, values, histograms, startTimes, counts, length }: SampleBuffer,
    { firstEnd: first, stride, rangeMs }: WindowGrid,
    into: StepColumn,
  ): void {
    const { node, definition, reach } = this.#parts;
    const { kernel } = definition;
    const { grid } = node;
    const window = this.#window;
    const result = this.#result;
    const context = this.#context;
    window.times = times;
    window.values = values;
    window.histograms = histograms;
    window.startTimes = definition.readsStartTimes ? startTimes : undefined;
    window.counts = counts;
    const hasArgs = this.#args.length > 0;
    const outputs = into.values;
    const { present } = into;
    const { steps } = grid;
    const before = reach.beforeMs;
    const after = reach.afterMs;
    let from = 0;
    let to = 0;
    let total = 0;
    let widest = 0;
    for (let step = 0; step < steps; step++) {
      const end = first + step * stride;
      const start = end - rangeMs;
      while (to < length && times[to]! <= end + after) to++;
      while (from < to && times[from]! <= start - before) from++;
      if (from === to) continue;
      if (to - from > widest) widest = to - from;
      total += to - from;
      window.from = from;
      window.to = to;
      window.rangeStart = start;
      window.rangeEnd = end;
      window.stepTime = grid.startMs + step * grid.stepMs;
      if (hasArgs) for (const [i, arg] of this.#args.entries()) this.#stepArgs[i] = arg[step]!;
      result.present = false;
      result.histogram = undefined;
      kernel(window, result, context);
      if (!result.present) continue;
      if (result.histogram === undefined) {
        outputs[step] = result.value;
        present[step] = 1;
      } else into.setHistogram(step, result.histogram);
    }
    const weight = histograms === undefined ? 1 : averageSamples(histograms, length);
    this.#count(total * weight, widest * weight);
  }

  /** Notes how many samples all windows had together and the largest one alone. */
  #count(total: number, widest: number): void {
    this.#run.spend(this.#parts.node.grid.steps + total / 4);
    this.#run.countSamples(Math.round(total));
    this.#run.touchSamples(Math.round(widest));
  }

  /** A rate of something that does not look like a counter is worth a remark. */
  #noteCounter(index: number, into: StepColumn): void {
    const { name, argPosition } = this.#parts.node;
    if (name !== 'rate' && name !== 'increase') return;
    const { metricName } = this.#context;
    if (metricName === '' || !hasFloat(into)) return;
    if (this.#run.typeAndUnitLabels) {
      const type = this.#input[index]!.labels.get('__type__');
      if (type === 'counter' || type === 'histogram') return;
      this.#run.annotations.info(infoTexts.possibleNonCounterLabel(metricName, type), argPosition);
    } else if (!counterName.test(metricName)) {
      this.#run.annotations.info(infoTexts.possibleNonCounter(metricName), argPosition);
    }
  }
}

const counterName = /_(total|sum|count|bucket)$/;

function hasFloat(column: StepColumn): boolean {
  if (column.histograms === undefined) return !column.isEmpty();
  const { histograms } = column;
  return column.present.some((present, step) => present === 1 && histograms[step] === undefined);
}

function averageSamples(
  histograms: NonNullable<SampleBuffer['histograms']>,
  length: number,
): number {
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const histogram = histograms[i];
    sum += histogram === undefined ? 1 : histogramSamples(histogram);
  }
  return sum / length;
}

function emptyWindow(
  { times, values }: SampleBuffer,
  extension: RangeWindow['extension'],
): RangeWindow {
  return {
    times,
    values,
    histograms: undefined,
    startTimes: undefined,
    counts: undefined,
    extension,
    from: 0,
    to: 0,
    rangeStart: 0,
    rangeEnd: 0,
    stepTime: 0,
    args: [],
  };
}
