import type { Metrics } from '#/telemetry/metrics.ts';

const PREFIX = 'thanos_sidecar_reloader_';

/** What the reloader counts. */
export function reloaderMetrics(metrics: Metrics) {
  const counter = (name: string, help: string) => metrics.counter({ name: PREFIX + name, help });
  const gauge = (name: string, help: string) => metrics.gauge({ name: PREFIX + name, help });
  return {
    reloads: counter('reloads_total', 'Total number of reload requests.'),
    reloadErrors: counter('reloads_failed_total', 'Total number of reload requests that failed.'),
    lastSuccess: gauge('last_reload_successful', 'Whether the last reload attempt was successful'),
    lastSuccessTime: gauge(
      'last_reload_success_timestamp_seconds',
      'Timestamp of the last successful reload',
    ),
    applies: counter('config_apply_operations_total', 'Total number of config apply operations.'),
    applyErrors: counter(
      'config_apply_operations_failed_total',
      'Total number of config apply operations that failed.',
    ),
    expansionErrors: gauge(
      'config_environment_variable_expansion_errors',
      'Number of environment variable expansions that failed during the last operation.',
    ),
    watches: gauge('watches', 'Number of resources watched by the reloader.'),
    watchEvents: counter(
      'watch_events_total',
      'Total number of events received by the reloader from the watcher.',
    ),
    watchErrors: counter(
      'watch_errors_total',
      'Total number of errors received by the reloader from the watcher.',
    ),
    info: metrics.gauge({
      name: `${PREFIX}info`,
      help: "A metric with a constant '1' value labeled by reload method (either 'http' or 'signal').",
      labels: ['method'],
    }),
  };
}
