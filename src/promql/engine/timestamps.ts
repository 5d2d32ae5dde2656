import type { StepColumn } from '../step-column.ts';
import type { StepGrid } from '../step-grid.ts';

/** Puts the time of the step, in seconds, in place of every sample. */
export function timesOf({ startMs, stepMs }: StepGrid): (column: StepColumn) => void {
  return (column) => {
    column.histograms = undefined;
    for (let step = 0; step < column.steps; step++) {
      column.values[step] = (startMs + step * stepMs) / 1000;
    }
  };
}
