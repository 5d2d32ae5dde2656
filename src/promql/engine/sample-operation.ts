import {
  CounterReset,
  addHistograms,
  compactHistogram,
  divideHistogram,
  equalHistograms,
  scaleHistogram,
  subtractHistograms,
  trimHistogram,
  withCounterReset,
} from '#/model/histogram.ts';
import type { CombinedHistogram, FloatHistogram } from '#/model/histogram.ts';
import { infoTexts, warningTexts } from '../annotation-texts.ts';
import type { Annotations } from '../annotations.ts';
import type { BinaryOperator, PositionRange } from '../ast.ts';
import { arithmeticOperation, comparisonOperation } from './arithmetic.ts';
import type { FloatComparison, FloatOperation } from './arithmetic.ts';

/**
 * `unfit`: the types do not go together, as if there had been no match. `dropped`: a comparison that
 * does not hold.
 */
export type Outcome = 'unfit' | 'dropped' | 'kept';

type Notes = Pick<Annotations, 'warn' | 'info'>;

/**
 * A binary operator on two samples, floats or histograms. The result of a kept one is in `histogram`
 * or, where that is undefined, in `value`: for comparisons the left sample.
 * Semantics: vectorElemBinop of promql/engine.go in Prometheus.
 */
export class SampleOperation {
  value = 0;
  histogram: FloatHistogram | undefined;
  readonly operator: BinaryOperator;
  readonly float: FloatOperation | undefined;
  readonly compare: FloatComparison | undefined;
  readonly #annotations: Notes;
  readonly #position: PositionRange;

  constructor(operator: BinaryOperator, annotations: Notes, position: PositionRange) {
    this.operator = operator;
    this.float = arithmeticOperation(operator);
    this.compare = comparisonOperation(operator);
    this.#annotations = annotations;
    this.#position = position;
  }

  apply(
    left: number,
    leftHistogram: FloatHistogram | undefined,
    right: number,
    rightHistogram: FloatHistogram | undefined,
  ): Outcome {
    this.histogram = undefined;
    if (leftHistogram !== undefined) {
      return rightHistogram === undefined
        ? this.#histogramFloat(leftHistogram, right)
        : this.#histograms(leftHistogram, rightHistogram);
    }
    if (rightHistogram !== undefined) {
      return this.operator === '*'
        ? this.#keep(compactHistogram(scaleHistogram(rightHistogram, left)))
        : this.#unfit('float', 'histogram');
    }
    if (this.compare !== undefined) {
      this.value = left;
      return this.compare(left, right) ? 'kept' : 'dropped';
    }
    if (this.float === undefined) return this.#unfit('float', 'float');
    this.value = this.float(left, right);
    return 'kept';
  }

  #histogramFloat(left: FloatHistogram, right: number): Outcome {
    switch (this.operator) {
      case '*':
        return this.#keep(compactHistogram(scaleHistogram(left, right)));
      case '/':
        return this.#keep(compactHistogram(divideHistogram(left, right)));
      case '</':
        return this.#keep(trimHistogram(left, right, 'keep-below'));
      case '>/':
        return this.#keep(trimHistogram(left, right, 'keep-above'));
      default:
        return this.#unfit('histogram', 'float');
    }
  }

  #histograms(left: FloatHistogram, right: FloatHistogram): Outcome {
    switch (this.operator) {
      case '+':
        return this.#combined(addHistograms(left, right), 'addition');
      case '-':
        return this.#combined(subtractHistograms(left, right), 'subtraction');
      case '==':
      case '!=':
        this.histogram = left;
        return equalHistograms(left, right) === (this.operator === '==') ? 'kept' : 'dropped';
      default:
        return this.#unfit('histogram', 'histogram');
    }
  }

  #combined(
    combined: CombinedHistogram | undefined,
    operation: 'addition' | 'subtraction',
  ): Outcome {
    if (combined === undefined) {
      this.#annotations.warn(warningTexts.incompatibleBucketLayout(this.operator), this.#position);
      return 'unfit';
    }
    if (combined.counterResetCollision) {
      this.#annotations.warn(warningTexts.counterResetCollision(operation), this.#position);
      return 'unfit';
    }
    if (combined.boundsReconciled) {
      this.#annotations.info(infoTexts.mismatchedCustomBuckets(operation), this.#position);
    }
    const { histogram } = combined;
    const counterReset = operation === 'addition' ? histogram.counterReset : CounterReset.Gauge;
    return this.#keep(compactHistogram(withCounterReset(histogram, counterReset)));
  }

  #keep(histogram: FloatHistogram): Outcome {
    this.histogram = histogram;
    return 'kept';
  }

  #unfit(left: string, right: string): Outcome {
    this.#annotations.info(infoTexts.incompatibleTypes(left, this.operator, right), this.#position);
    return 'unfit';
  }
}
