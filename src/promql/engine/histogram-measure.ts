import type { Label } from '#/model/labels.ts';
import { formatOpenMetrics } from '#/lib/float-text.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { infoTexts, warningTexts } from '../annotation-texts.ts';
import type { Annotations, NotePosition } from '../annotations.ts';
import { classicFraction, classicQuantile } from '../functions/classic-histogram.ts';
import type { ClassicBuckets } from '../functions/classic-histogram.ts';
import { nativeFraction, nativeQuantile } from '../functions/native-histogram.ts';
import type { CallNode } from '../planner/nodes.ts';

/** Where the annotations of a measure go. */
export interface MeasureNotes {
  readonly annotations: Annotations;
  readonly position: NotePosition;
  readonly metricName: string;
  readonly timeAt: (step: number) => number;
}

/** A quantile or a fraction of a histogram. */
export interface HistogramMeasure {
  /** What tells several measures of one histogram apart. */
  readonly label: Label | undefined;
  appliesAt(step: number): boolean;
  ofClassic(step: number, buckets: ClassicBuckets, notes: MeasureNotes): number;
  ofNative(step: number, histogram: FloatHistogram, notes: MeasureNotes): number;
}

/** The measures that a call asks for; `scalars` are its scalar arguments. */
export function histogramMeasures(
  node: CallNode,
  scalars: readonly Float64Array[],
  annotations: Annotations,
): readonly HistogramMeasure[] {
  const [first, second] = scalars;
  if (node.name === 'histogram_fraction') return [fraction(first!, second!)];
  if (node.name === 'histogram_quantile') {
    warnInvalid(first!, annotations, { ...node.args[0]!.position, speaker: node.position });
    return [quantile(first!, undefined, () => true)];
  }
  const label = node.args[1];
  const name = label?.kind === 'string' ? label.value : '';
  return scalars.flatMap((quantiles, i) => {
    warnInvalid(quantiles, annotations, { ...node.args[i + 2]!.position, speaker: node.position });
    return quantilesByValue(quantiles, name);
  });
}

/** The label follows the value, so an argument that changes makes a measure for each value. */
function quantilesByValue(quantiles: Float64Array, name: string): HistogramMeasure[] {
  // A set makes the zeros one, Object.is does not: so they are made one here.
  const values = quantiles.map((q) => q + 0);
  return Array.from(new Set(values), (q) => {
    const applies = (step: number): boolean => Object.is(values[step], q);
    return quantile(quantiles, { name, value: formatOpenMetrics(q) }, applies);
  });
}

function warnInvalid(
  quantiles: Float64Array,
  annotations: Annotations,
  position: NotePosition,
): void {
  for (const q of new Set(quantiles)) {
    if (!(q >= 0 && q <= 1)) annotations.warn(warningTexts.invalidQuantile(q), position);
  }
}

function quantile(
  quantiles: Float64Array,
  label: Label | undefined,
  appliesAt: (step: number) => boolean,
): HistogramMeasure {
  return {
    label,
    appliesAt,
    ofClassic(step, buckets, { annotations, position, metricName, timeAt }) {
      const result = classicQuantile(quantiles[step]!, buckets);
      if (result.forced !== undefined) {
        const fix = { timeMs: timeAt(step), ...result.forced };
        annotations.forcedMonotonicity(infoTexts.forcedMonotonicity(metricName), position, fix);
      }
      return result.quantile;
    },
    ofNative(step, histogram, { annotations, position, metricName }) {
      const result = nativeQuantile(quantiles[step]!, histogram);
      if (result.nanEffect === 'result-is-nan') {
        annotations.info(infoTexts.quantileOfNaN(metricName), position);
      } else if (result.nanEffect === 'skewed-higher') {
        annotations.info(infoTexts.quantileSkewedByNaN(metricName), position);
      }
      return result.quantile;
    },
  };
}

function fraction(lower: Float64Array, upper: Float64Array): HistogramMeasure {
  return {
    label: undefined,
    appliesAt: () => true,
    ofClassic: (step, buckets) => classicFraction(lower[step]!, upper[step]!, buckets),
    ofNative(step, histogram, { annotations, position, metricName }) {
      const result = nativeFraction(lower[step]!, upper[step]!, histogram);
      if (result.excludesNaN) {
        annotations.info(infoTexts.fractionWithoutNaN(metricName), position);
      }
      return result.fraction;
    },
  };
}
