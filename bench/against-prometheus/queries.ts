/** What dashboards and rules ask most: one query of each kind, over a day with a point a minute. */
export const queries: readonly string[] = [
  'sum by (job) (rate(http_requests_total[5m]))',
  'sum by (job) (http_requests_total)',
  'rate(http_requests_total[5m])',
  'avg by (job, area) (memory_usage_bytes)',
  'histogram_quantile(0.99, sum by (job, le) (rate(request_duration_seconds_bucket[5m])))',
  'max_over_time(memory_usage_bytes[1h])',
  'topk(5, sum by (instance, handler) (rate(http_requests_total[5m])))',
  'sum by (job) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (job) (rate(http_requests_total[5m]))',
  'count by (instance) (memory_usage_bytes > 5e8)',
  'quantile_over_time(0.9, memory_usage_bytes[15m])',
];

export const stepSeconds = 60;
