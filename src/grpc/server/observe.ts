import type { Metrics } from '#/telemetry/metrics.ts';
import { Status, statusName } from '../status.ts';
import type { Service, ServedMethod } from '../method.ts';

const HANDLING_BUCKETS = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120];
const METHOD_LABELS = ['grpc_type', 'grpc_service', 'grpc_method'] as const;

/** Counts calls of one method. */
export interface CallObserver {
  started(): void;
  received(messages: number): void;
  sent(messages: number): void;
  handled(code: number, seconds: number): void;
  panicked(): void;
}

/** The server metrics that dashboards for gRPC servers read. Every series of a method exists from the start. */
export function serverMetrics(
  metrics: Metrics,
): (service: Service, served: ServedMethod) => CallObserver {
  const started = metrics.counter({
    name: 'grpc_server_started_total',
    help: 'Total number of RPCs started on the server.',
    labels: METHOD_LABELS,
  });
  const received = metrics.counter({
    name: 'grpc_server_msg_received_total',
    help: 'Total number of RPC stream messages received on the server.',
    labels: METHOD_LABELS,
  });
  const sent = metrics.counter({
    name: 'grpc_server_msg_sent_total',
    help: 'Total number of gRPC stream messages sent by the server.',
    labels: METHOD_LABELS,
  });
  const handled = metrics.counter({
    name: 'grpc_server_handled_total',
    help: 'Total number of RPCs completed on the server, regardless of success or failure.',
    labels: [...METHOD_LABELS, 'grpc_code'],
  });
  const seconds = metrics.histogram({
    name: 'grpc_server_handling_seconds',
    help: 'Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.',
    labels: METHOD_LABELS,
    buckets: HANDLING_BUCKETS,
  });
  const panics = metrics.counter({
    name: 'grpc_req_panics_recovered_total',
    help: 'Total number of gRPC requests recovered from internal panic.',
  });
  return (service, { method }) => {
    const labels = {
      grpc_type: typeOf(method),
      grpc_service: service.fullName,
      grpc_method: method.name,
    };
    for (const counter of [started, received, sent]) counter.inc(labels, 0);
    for (const code of Object.values(Status)) {
      handled.inc({ ...labels, grpc_code: statusName(code) }, 0);
    }
    seconds.zero(labels);
    return {
      started: () => started.inc(labels),
      received: (messages) => received.inc(labels, messages),
      sent: (messages) => sent.inc(labels, messages),
      handled: (code, duration) => {
        handled.inc({ ...labels, grpc_code: statusName(code) });
        seconds.observe(labels, duration);
      },
      panicked: () => panics.inc(),
    };
  };
}

function typeOf(method: ServedMethod['method']): string {
  if (method.requestStream) return method.responseStream ? 'bidi_stream' : 'client_stream';
  return method.responseStream ? 'server_stream' : 'unary';
}
