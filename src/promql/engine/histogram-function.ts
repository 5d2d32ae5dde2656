import type { NotePosition } from '../annotations.ts';
import { METRIC_NAME } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { warningTexts } from '../annotation-texts.ts';
import type { ClassicBuckets } from '../functions/classic-histogram.ts';
import type { CallNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import { BUCKET_LABEL, groupHistograms } from './bucket-groups.ts';
import type { HistogramGroup } from './bucket-groups.ts';
import { histogramMeasures } from './histogram-measure.ts';
import type { HistogramMeasure, MeasureNotes } from './histogram-measure.ts';
import { MergedSeries } from './merged-series.ts';
import type { Operator, OutputSeries } from './operator.ts';
import { withoutMetadata } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { readScalar } from './scalar.ts';

/** One series of the result: a measure of the classic or of the native form of a histogram. */
interface Output {
  readonly group: HistogramGroup;
  readonly form: 'classic' | 'native';
  readonly measure: HistogramMeasure;
}

/**
 * `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`. A histogram's buckets are
 * read together when its result is read, so only one histogram is in memory at a time. Where a
 * classic and a native histogram have the same labels at a step, neither has a result.
 */
export class HistogramFunctionOperator implements Operator {
  readonly #node: CallNode;
  readonly #vector: Operator;
  readonly #scalars: readonly Operator[];
  readonly #run: QueryRun;
  readonly #position: NotePosition;
  readonly #columns: StepColumn[] = [];
  readonly #native: StepColumn;
  /** Members that have been read and had floats only. */
  readonly #floats = new Set<number>();
  #series: readonly OutputSeries[] = [];
  #outputs: readonly Output[] = [];
  #merged: MergedSeries | undefined;

  constructor(node: CallNode, operands: readonly Operator[], run: QueryRun) {
    this.#node = node;
    this.#run = run;
    const first = node.name === 'histogram_quantiles';
    this.#vector = first ? operands[0]! : operands.at(-1)!;
    this.#scalars = first ? operands.slice(1) : operands.slice(0, -1);
    const vectorNode = (first ? node.args[0] : node.args.at(-1))!;
    this.#position = { ...vectorNode.position, speaker: node.position };
    this.#native = new StepColumn(node.grid.steps);
  }

  async open(): Promise<readonly OutputSeries[]> {
    const node = this.#node;
    const [series] = await Promise.all([
      this.#vector.open(),
      ...this.#scalars.map((scalar) => scalar.open()),
    ]);
    this.#series = series;
    const scalars = this.#scalars.map((scalar) => readScalar(scalar, node.grid.steps));
    const measures = histogramMeasures(node, scalars, this.#run.annotations);
    const { groups, malformed } = groupHistograms(series);
    await this.#warnMalformed(malformed);
    const classic = groups.filter(({ buckets }) => buckets.length > 0);
    const native = groups.filter((group) => group.native !== undefined);
    // Classic ones come first: reading them shows which series have no native histograms.
    const forms = [
      ...classic.map((group) => ({ group, form: 'classic' as const })),
      ...native.map((group) => ({ group, form: 'native' as const })),
    ];
    this.#outputs = measures.flatMap((measure) => forms.map((form) => ({ ...form, measure })));
    this.#merged = new MergedSeries(this.#outputs.map((output) => this.#seriesOf(output)));
    return this.#merged.series;
  }

  async readAhead(order: readonly number[]): Promise<void> {
    const members = this.#merged!.inputsOf(order).flatMap((output) => {
      const { native, buckets } = this.#outputs[output]!.group;
      return [...(native === undefined ? [] : [native]), ...buckets.map(({ member }) => member)];
    });
    await this.#vector.readAhead?.(members);
  }

  read(index: number, into: StepColumn): void {
    this.#merged!.read(index, into, this.#readOutput);
  }

  #seriesOf({ group, measure }: Output): OutputSeries {
    const { delayedNameRemoval } = this.#run;
    const labels = delayedNameRemoval ? group.labels : withoutMetadata(group.labels);
    return { labels: withMeasure(labels, measure), dropName: true };
  }

  readonly #readOutput = (index: number, into: StepColumn): void => {
    const { group, form, measure } = this.#outputs[index]!;
    into.clear();
    const { native } = group;
    if (form === 'native' && this.#floats.has(native!)) return;
    const hasNative = native !== undefined && !this.#floats.has(native);
    if (hasNative) {
      this.#vector.read(native, this.#native);
      if (this.#native.histograms === undefined) this.#floats.add(native);
    }
    for (const [i, { member }] of group.buckets.entries()) {
      const column = (this.#columns[i] ??= new StepColumn(into.steps));
      this.#vector.read(member, column);
      if (column.histograms === undefined) this.#floats.add(member);
    }
    this.#measureAll(group, form, measure, hasNative ? this.#native : undefined, into);
  };

  #measureAll(
    group: HistogramGroup,
    form: 'classic' | 'native',
    measure: HistogramMeasure,
    natives: StepColumn | undefined,
    into: StepColumn,
  ): void {
    const notes = this.#notes(group);
    const { length } = group.buckets;
    const buckets: ClassicBuckets = {
      bounds: new Float64Array(length),
      counts: new Float64Array(length),
      length: 0,
    };
    for (let step = 0; step < into.steps; step++) {
      if (!measure.appliesAt(step)) continue;
      this.#gather(group, step, buckets);
      const histogram: FloatHistogram | undefined = natives?.histograms?.[step];
      if (buckets.length > 0 && histogram !== undefined) {
        const text = warningTexts.mixedClassicNativeHistograms(notes.metricName);
        this.#run.annotations.warn(text, this.#position);
      } else if (form === 'native' && histogram !== undefined) {
        into.setFloat(step, measure.ofNative(step, histogram, notes));
      } else if (form === 'classic' && buckets.length > 0) {
        into.setFloat(step, measure.ofClassic(step, buckets, notes));
      }
    }
    this.#run.spend(into.steps * (1 + length));
  }

  #gather({ buckets }: HistogramGroup, step: number, into: ClassicBuckets): void {
    into.length = 0;
    for (const [i, { bound }] of buckets.entries()) {
      const column = this.#columns[i]!;
      if (column.present[step] === 0 || column.histograms?.[step] !== undefined) continue;
      into.bounds[into.length] = bound;
      into.counts[into.length] = column.values[step]!;
      into.length++;
    }
  }

  #notes({ metricName }: HistogramGroup): MeasureNotes {
    const { grid } = this.#node;
    return {
      annotations: this.#run.annotations,
      position: this.#position,
      metricName: this.#run.delayedNameRemoval ? metricName : '',
      timeAt: (step) => grid.startMs + step * grid.stepMs,
    };
  }

  /** Floats without a number in `le` are no buckets, which the user should know. */
  async #warnMalformed(members: readonly number[]): Promise<void> {
    for (const member of members) {
      this.#vector.read(member, this.#native);
      const { present, histograms } = this.#native;
      if (present.some((here, step) => here === 1 && histograms?.[step] === undefined)) {
        const { labels } = this.#series[member]!;
        const metricName = this.#run.delayedNameRemoval ? labels.get(METRIC_NAME) : '';
        const text = warningTexts.badBucketLabel(metricName, labels.get(BUCKET_LABEL));
        this.#run.annotations.warn(text, this.#position);
      }
      if (this.#run.isDue) await this.#run.pause();
    }
  }
}

function withMeasure(labels: Labels, { label }: HistogramMeasure): Labels {
  return label === undefined ? labels : labels.with(label.name, label.value);
}
