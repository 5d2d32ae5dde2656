/** A reason why answers may differ, and by how much at most. */
export interface KnownDifference {
  readonly reason: string;
  /** Relative; 0 when the answers cannot be compared at all. */
  readonly tolerance: number;
}

interface Entry extends KnownDifference {
  readonly appliesTo: (version: string) => boolean;
  readonly expression: RegExp;
}

const everyVersion = () => true;
// A build without a version counts as a new one.
const before3 = (version: string) => version.startsWith('2.');
const before39 = (version: string) => before3(version) || /^3\.[0-8]\./.test(version);

/**
 * What is known to differ: between this Prometheus and 3.14, whose semantics are ours, or between
 * the machines below. Each entry names its cause, and everything within its tolerance is still checked.
 */
const differences: readonly Entry[] = [
  {
    appliesTo: everyVersion,
    expression:
      /\b(exp|ln|log2|log10|sin|cos|tan|asin|acos|atan|sinh|cosh|tanh|asinh|acosh|atanh|atan2)\b|\^/,
    reason: "transcendental functions: V8's and Go's libraries round the last digits differently",
    tolerance: 1e-13,
  },
  {
    appliesTo: everyVersion,
    expression:
      /(\bhistogram_(quantiles?|fraction|stddev|stdvar)\(|<\/|>\/).*(native|schemas|fractions|mixed|_histogram)|(native|schemas|fractions|mixed|_histogram).*(<\/|>\/)/,
    reason: 'exponential buckets are interpolated by powers of two: see transcendental functions',
    tolerance: 1e-13,
  },
  {
    appliesTo: before3,
    expression: /native/,
    reason:
      'native histograms were an experiment before 3.0: reset hints, bucket merging, annotations',
    tolerance: 0,
  },
  {
    appliesTo: before39,
    expression: /\b(sum|avg|sum_over_time|avg_over_time|rate|increase)\b.*native/,
    reason: 'sums of native histograms are compensated since 3.9',
    tolerance: 1e-12,
  },
  {
    appliesTo: before3,
    expression: /\[/,
    reason: 'range selectors and subqueries take in a sample exactly at their left end before 3.0',
    tolerance: 0,
  },
  {
    appliesTo: before3,
    expression: /^\d+[smhdwy]$/,
    reason: 'a duration is no number before 3.0',
    tolerance: 0,
  },
  {
    appliesTo: before3,
    expression: /atan2/,
    reason: 'atan2 keeps the metric name in 2.x',
    tolerance: 0,
  },
  {
    appliesTo: before3,
    expression: /\b(sum|avg|stddev|stdvar)\b/,
    reason: 'aggregations do not use compensated sums before 3.0',
    tolerance: 1e-9,
  },
];

/** The known differences of an expression in this version of Prometheus. */
export function knownDifferences(expression: string, version: string): readonly KnownDifference[] {
  return differences.filter(
    (entry) => entry.appliesTo(version) && entry.expression.test(expression),
  );
}
