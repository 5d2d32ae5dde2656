interface AnswerSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [time: number, value: string])[];
}

/** How alike two answers are. */
export interface Comparison {
  readonly verdict: 'equal' | 'near' | 'different';
  /** Of the first answer. */
  readonly series: number;
  /** What is different, or the largest relative difference of two values. */
  readonly detail: string;
}

/**
 * Versions of Prometheus before 3 sum without compensation, so their last digits may differ from
 * ours; that is `near`. Everything else that is not the same digit for digit is `different`.
 */
const NEAR = 1e-9;

export function compareAnswers(want: Buffer, got: Buffer): Comparison {
  const [wanted, gotten] = [byLabels(want), byLabels(got)];
  const series = wanted.size;
  const different = (detail: string): Comparison => ({ verdict: 'different', series, detail });
  if (gotten.size !== series) return different(`${gotten.size} series instead of ${series}`);
  let largest = 0;
  for (const [labels, values] of wanted) {
    const others = gotten.get(labels);
    if (others === undefined) return different(`no series ${labels}`);
    if (others.length !== values.length) {
      return different(`${labels}: ${others.length} samples instead of ${values.length}`);
    }
    for (const [i, [time, value]] of values.entries()) {
      const [otherTime, otherValue] = others[i]!;
      if (time === otherTime && value === otherValue) continue;
      const distance = time === otherTime ? relativeDistance(Number(value), Number(otherValue)) : 1;
      if (!(distance <= NEAR)) {
        return different(`${labels} at ${time}: ${otherValue} at ${otherTime} instead of ${value}`);
      }
      largest = Math.max(largest, distance);
    }
  }
  if (largest === 0) return { verdict: 'equal', series, detail: '' };
  return { verdict: 'near', series, detail: largest.toExponential(0) };
}

function byLabels(body: Buffer): Map<string, AnswerSeries['values']> {
  const { data } = JSON.parse(body.toString()) as { data: { result: AnswerSeries[] } };
  return new Map(
    data.result.map(({ metric, values }) => [
      JSON.stringify(Object.entries(metric).sort(([a], [b]) => (a < b ? -1 : 1))),
      values,
    ]),
  );
}

function relativeDistance(a: number, b: number): number {
  return Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b));
}
