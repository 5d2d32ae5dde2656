/**
 * A valid query that its data does not allow: duplicate series in a match group, a parameter that is
 * NaN. The message is Prometheus's, word for word. Running it over other data may succeed.
 */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError';
}
