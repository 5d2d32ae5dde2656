import { scaleHistogram } from '#/model/histogram.ts';
import type { StepColumn } from '../step-column.ts';

/** Unary minus on every sample. */
export function negate(column: StepColumn): void {
  const { values, histograms, steps } = column;
  for (let step = 0; step < steps; step++) values[step] = -values[step]!;
  if (histograms === undefined) return;
  for (const [step, histogram] of histograms.entries()) {
    if (histogram !== undefined) column.setHistogram(step, scaleHistogram(histogram, -1));
  }
}
