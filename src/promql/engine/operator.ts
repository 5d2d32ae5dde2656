import { METRIC_NAME } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { StepColumn } from '../step-column.ts';

/** One series of an operator's output. */
export interface OutputSeries {
  readonly labels: Labels;
  /**
   * The metric name no longer fits. It goes at the end of the query, and only under delayed name
   * removal; otherwise `labels` is without it already.
   */
  readonly dropName: boolean;
}

/**
 * A part of a physical plan. Opening it does all the waiting: requests are answered, and operators
 * that must see many series at once (aggregations, the order of `sort`) do their folding. From then
 * on series are read by index, synchronously, in any order and by anyone who has a column.
 *
 * Reading is pure and repeats the work: nothing is kept for a series that is not read at the moment.
 * Who needs a series often keeps the column. So memory follows what is kept, not what is selected,
 * a join needs no buffer, and a plan can be split by series.
 */
export interface Operator {
  /** Called once. The series may include some without any sample. */
  open(): Promise<readonly OutputSeries[]>;
  /**
   * Says in which order series will be read, so that an operator whose work is done elsewhere has
   * them at hand. Resolves when reading may begin. Nothing depends on it but speed: any series can
   * be read at any time. Whoever reads many pauses between them when `QueryRun.isDue`.
   */
  readAhead?(order: readonly number[]): Promise<void>;
  /** Fills the cleared or used column `into`, which has the operator's number of steps. */
  read(index: number, into: StepColumn): void;
}

/** The one series of a scalar. */
export const scalarSeries = (empty: Labels): readonly OutputSeries[] => [
  { labels: empty, dropName: false },
];

const metadataNames = new Set([METRIC_NAME, '__type__', '__unit__']);

/** Drops the name, and the type and unit that go with it. */
export function withoutMetadata(labels: Labels): Labels {
  return labels.without(metadataNames);
}
