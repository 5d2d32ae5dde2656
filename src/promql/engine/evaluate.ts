import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { MatrixNode, PlanNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import type { MatrixSeries, QueryValue, VectorSample } from '../value.ts';
import type { StepGrid } from '../step-grid.ts';
import { MergedSeries } from './merged-series.ts';
import { operatorOf, sampleSourceOf } from './operator-of.ts';
import type { Operator, OutputSeries } from './operator.ts';
import { withoutMetadata } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { columnBytes, samplesOf } from './query-run.ts';
import { RelabelOperator } from './relabel.ts';
import { coveredTimes } from './sample-source.ts';

/** A scalar at one instant. */
export async function evaluateScalar(plan: PlanNode, run: QueryRun): Promise<QueryValue> {
  const operator = operatorOf(plan, run);
  await operator.open();
  const column = new StepColumn(1);
  operator.read(0, column);
  return { kind: 'scalar', timeMs: plan.grid.startMs, value: column.values[0]! };
}

/** A vector at one instant, in the order the expression gives it. */
export async function evaluateVector(plan: PlanNode, run: QueryRun): Promise<QueryValue> {
  const operator = namedOperator(plan, run);
  const series = await operator.open();
  await operator.readAhead?.([...series.keys()]);
  const column = new StepColumn(1);
  const samples: VectorSample[] = [];
  const timeMs = plan.grid.startMs;
  for (const [index, { labels }] of series.entries()) {
    operator.read(index, column);
    if (column.present[0] === 1) {
      const histogram = column.histograms?.[0];
      run.holdSamples(samplesOf(column));
      run.reserve(BYTES_PER_SAMPLE);
      const value = histogram === undefined ? column.values[0]! : 0;
      samples.push({ labels, timeMs, value, ...(histogram === undefined ? {} : { histogram }) });
    }
    if (run.isDue) await run.pause();
  }
  return { kind: 'vector', samples };
}

/** About what an object of a vector's sample takes. */
const BYTES_PER_SAMPLE = 64;

/** A scalar or vector over all steps, sorted by labels. */
export async function evaluateMatrix(plan: PlanNode, run: QueryRun): Promise<QueryValue> {
  const operator = namedOperator(plan, run);
  const found = await operator.open();
  await operator.readAhead?.([...found.keys()]);
  const column = new StepColumn(plan.grid.steps);
  const times = stepTimes(plan.grid);
  const series: MatrixSeries[] = [];
  for (const [index, { labels }] of found.entries()) {
    operator.read(index, column);
    const count = samplesOf(column);
    if (count > 0) {
      run.holdSamples(count);
      run.reserve(columnBytes(column.steps) + 16 * count);
      series.push(matrixSeries(labels, column, times));
    }
    if (run.isDue) await run.pause();
  }
  return { kind: 'matrix', series: series.sort((a, b) => compareLabels(a.labels, b.labels)) };
}

/** A range vector at one instant: all samples in the window. */
export async function evaluateRangeVector(node: MatrixNode, run: QueryRun): Promise<QueryValue> {
  const source = sampleSourceOf(node.source, node.grid, run);
  const found = await source.open();
  const { after, until } = coveredTimes(node.source, node.grid);
  const samples = new SampleBuffer();
  const series: MatrixSeries[] = [];
  const named = namedSeries(found, run);
  for (const [index, { labels }] of named.entries()) {
    samples.clear();
    source.read(index, samples);
    if (samples.length > 0) {
      run.holdSamples(samples.length);
      run.countSamples(samples.length);
      run.reserve(16 * samples.length);
      series.push(windowSeries(labels, samples, after, until));
    }
    if (run.isDue) await run.pause();
  }
  return { kind: 'matrix', series: series.sort((a, b) => compareLabels(a.labels, b.labels)) };
}

/** Under delayed name removal, names that no longer fit go at the very end. */
function namedOperator(plan: PlanNode, run: QueryRun): Operator {
  const operator = operatorOf(plan, run);
  return run.delayedNameRemoval ? new RelabelOperator(operator, dropNow) : operator;
}

function namedSeries(series: readonly OutputSeries[], run: QueryRun): readonly OutputSeries[] {
  return run.delayedNameRemoval ? new MergedSeries(series.map(dropNow)).series : series;
}

function dropNow(series: OutputSeries): OutputSeries {
  return series.dropName ? { labels: withoutMetadata(series.labels), dropName: false } : series;
}

function stepTimes({ startMs, stepMs, steps }: StepGrid): Float64Array {
  return Float64Array.from({ length: steps }, (_, step) => startMs + step * stepMs);
}

/** A series with a float at every step shares `times` with the others. */
function matrixSeries(labels: Labels, column: StepColumn, times: Float64Array): MatrixSeries {
  if (column.histograms === undefined && !column.present.includes(0)) {
    return floatSeries(labels, times, column.values.slice());
  }
  const floats: number[] = [];
  const histogramSteps: number[] = [];
  const histograms: FloatHistogram[] = [];
  for (let step = 0; step < column.steps; step++) {
    if (column.present[step] === 0) continue;
    const histogram = column.histograms?.[step];
    if (histogram === undefined) floats.push(step);
    else {
      histogramSteps.push(step);
      histograms.push(histogram);
    }
  }
  return {
    labels,
    times: Float64Array.from(floats, (step) => times[step]!),
    values: Float64Array.from(floats, (step) => column.values[step]!),
    histogramTimes: Float64Array.from(histogramSteps, (step) => times[step]!),
    histograms,
  };
}

function floatSeries(labels: Labels, times: Float64Array, values: Float64Array): MatrixSeries {
  return { labels, times, values, histogramTimes: new Float64Array(0), histograms: [] };
}

/** The samples of `(after, until]`. */
function windowSeries(
  labels: Labels,
  { times, values, histograms, length }: SampleBuffer,
  after: number,
  until: number,
): MatrixSeries {
  const floats: number[] = [];
  const others: number[] = [];
  for (let i = 0; i < length; i++) {
    if (times[i]! <= after || times[i]! > until) continue;
    if (histograms?.[i] === undefined) floats.push(i);
    else others.push(i);
  }
  return {
    labels,
    times: Float64Array.from(floats, (i) => times[i]!),
    values: Float64Array.from(floats, (i) => values[i]!),
    histogramTimes: Float64Array.from(others, (i) => times[i]!),
    histograms: others.map((i) => histograms![i]!),
  };
}
