import { BadInputError, CorruptionError, LimitError } from '#/lib/errors.ts';
import { EvaluationError } from '../evaluation-error.ts';
import type { TakenNotes } from '../annotations.ts';
import type { StepColumn } from '../step-column.ts';

/** What reading one series gave besides floats. */
export interface SeriesNotes {
  /** Which of the task's series. */
  readonly series: number;
  readonly histograms?: StepColumn['histograms'];
  /** Chunks that were left out. */
  readonly damage?: readonly string[];
  readonly annotations?: TakenNotes;
  /** What it failed with after all that. */
  readonly failure?: { readonly name: string; readonly message: string };
}

const errorClasses = new Map(
  [EvaluationError, BadInputError, CorruptionError, LimitError].map((type) => [type.name, type]),
);

/** An error of one of our kinds again, which copying makes a plain one. */
export function errorOf({ name, message }: NonNullable<SeriesNotes['failure']>): Error {
  const type = errorClasses.get(name);
  return type === undefined ? new Error(message) : new type(message);
}
