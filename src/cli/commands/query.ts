import { availableParallelism } from 'node:os';
import { runQuery } from '#/components/query.ts';
import type { QueryConfig } from '#/components/query.ts';
import { DedupAlgorithms, DEFAULT_DEDUP_ALGORITHM } from '#/dedup/dedup.ts';
import { BadInputError } from '#/lib/errors.ts';
import type { Labels } from '#/model/labels.ts';
import { parseEndpointConfig } from '#/query/endpoint-config.ts';
import type { EndpointConfig } from '#/query/endpoint-config.ts';
import { ConnectionLabels } from '#/query/endpoints.ts';
import type { ConnectionLabel } from '#/query/endpoints.ts';
import { componentCommand } from '../command.ts';
import { globalFlags, grpcFlags, httpFlags, plannedServerFlags } from '../common-flags.ts';
import { readConfig } from '../config-text.ts';
import { configFlags, configSource, flag, flagTexts } from '../flags.ts';
import type { FlagValues } from '../flags.ts';
import { version } from '../version.ts';
import { parseLabelFlags } from './label-flags.ts';
import { queryLimits, systemMemory } from './memory-limits.ts';
import { grpcOf, httpOf, selectorOf, workersOf } from './shared.ts';

export const queryFlags = {
  ...globalFlags,
  ...httpFlags,
  ...grpcFlags,
  endpoint: flag.list({
    help: 'An endpoint of the StoreAPI: host:port, dns+name:port or dnssrv+name.',
    placeholder: 'ADDRESS',
  }),
  'endpoint-strict': flag.list({
    help: 'An endpoint that is always asked, and missed when it does not answer.',
    placeholder: 'ADDRESS',
  }),
  'endpoint-group': flag.list({
    help: 'A name whose addresses are replicas of one endpoint and share its calls.',
    placeholder: 'ADDRESS',
  }),
  'endpoint-group-strict': flag.list({
    help: 'As --endpoint-group, always asked.',
    placeholder: 'ADDRESS',
  }),
  ...configFlags('endpoint.sd-config', { help: 'Endpoints, as in Thanos.' }),
  'store.sd-files': flag.list({ help: 'Files with endpoints (Prometheus file SD); * works.' }),
  'store.sd-interval': flag.duration({
    help: 'How often those files are read again.',
    default: '5m',
  }),
  'store.sd-dns-interval': flag.duration({
    help: 'How often names are looked up again.',
    default: '30s',
  }),
  'store.response-timeout': flag.duration({
    help: 'The longest wait for the next piece of an answer; 0 for no bound.',
    default: '0s',
  }),
  'store.unhealthy-timeout': flag.duration({
    help: 'How long an endpoint that stopped answering is remembered, and missed.',
    default: '5m',
  }),
  'endpoint.info-timeout': flag.duration({
    help: 'How long a health check may take.',
    default: '5s',
    hidden: true,
  }),
  'query.timeout': flag.duration({ help: 'How long a query may take.', default: '2m' }),
  'query.max-concurrent': flag.integer({
    help: 'Queries that run at once; the others wait in line.',
    default: '20',
  }),
  'query.max-concurrent-select': flag.integer({
    help: 'Selects of one query that run at once.',
    default: '4',
  }),
  'query.workers': flag.optionalInteger({
    help: 'Threads that evaluate large queries; 0 for none. Default: one less than there are processors.',
  }),
  'query.max-samples': flag.integer({
    help: 'Samples that one query may hold at once; 0 for no limit.',
    default: '0',
  }),
  'query.max-series': flag.integer({
    help: 'Series that one selector of a query may have, replicas counted once; 0 for no limit.',
    default: '0',
  }),
  'query.max-steps': flag.integer({
    help: "Steps that a range query may have; 0 for no limit. The default is Prometheus's limit.",
    default: '11000',
  }),
  'query.log-queries-longer-than': flag.duration({
    help: 'Log queries that take this long, with what they took of object storage; 0 for none.',
    default: '0s',
  }),
  'query.memory-limit': flag.bytes({
    help: 'Bytes that one query may hold; 0 for half of --query.total-memory-limit, by default a quarter of the memory limit of the container.',
    default: '0',
  }),
  'query.total-memory-limit': flag.bytes({
    help: 'Bytes that all queries together may hold, and the process may have; 0 for half of the memory limit of the container, or of the free memory if it has none.',
    default: '0',
  }),
  'query.lookback-delta': flag.optionalDuration({
    help: 'How long a sample counts when no newer one comes. Default: 5m.',
  }),
  'query.dynamic-lookback-delta': flag.toggle({
    help: 'Let samples of downsampled data count as long as their resolution.',
    default: true,
    hidden: true,
  }),
  'query.default-evaluation-interval': flag.duration({
    help: 'The step of subqueries that name none.',
    default: '1m',
  }),
  'query.default-step': flag.duration({
    help: 'The finest step of range queries that name none.',
    default: '1s',
  }),
  'query.replica-label': flag.list({ help: 'A label that tells replicas apart.' }),
  'deduplication.func': flag.oneOf(DedupAlgorithms, {
    help: "How replicas become one series: sticky follows one replica and switches only at a gap; penalty and chain are Thanos's.",
    default: DEFAULT_DEDUP_ALGORITHM,
  }),
  'query.partial-response': flag.toggle({
    help: 'Answer in part, with a warning, when an endpoint fails.',
    default: true,
  }),
  'query.auto-downsampling': flag.toggle({
    help: 'Read downsampled data up to a fifth of the step.',
    default: false,
  }),
  'query.metadata.default-time-range': flag.duration({
    help: 'The range of label and series look-ups that name none; 0 for all time.',
    default: '0s',
  }),
  'query.instant.default.max_source_resolution': flag.duration({
    help: 'Resolution of instant queries with auto-downsampling.',
    default: '0s',
    hidden: true,
  }),
  'query.promql-engine': flag.oneOf(['prometheus', 'thanos'], {
    help: 'Accepted for compatibility: there is one engine.',
    default: 'prometheus',
    hidden: true,
  }),
  'query.conn-metric.label': flag.list({
    help: 'Labels of thanos_store_nodes_grpc_connections. Default: external_labels and store_type.',
  }),
  'enable-feature': flag.list({
    help: 'Features of PromQL: promql-experimental-functions, promql-extended-range-selectors, promql-delayed-name-removal, promql-binop-fill-modifiers.',
  }),
  'query.enable-x-functions': flag.toggle({
    help: 'Allow xrate, xincrease and xdelta.',
    default: false,
  }),
  'selector-label': flag.list({
    help: 'A label to announce to other queriers.',
    placeholder: 'NAME="VALUE"',
  }),
  ...configFlags('selector.relabel-config', {
    help: 'Which TSDBs to read: relabeling (keep, drop, hashmod) of their external labels.',
  }),
  'query.tenant-header': flag.text({
    help: 'The header that names the tenant.',
    default: 'THANOS-TENANT',
  }),
  'query.default-tenant-id': flag.text({
    help: 'The tenant of requests that name none.',
    default: 'default-tenant',
  }),
  'grpc-compression': flag.oneOf(['none', 'snappy'], {
    help: 'How answers of endpoints are packed.',
    default: 'none',
  }),
};

/** Flags of Thanos's querier that come later. */
export const plannedQueryFlags = [
  ...plannedServerFlags,
  'store.limits.request-series',
  'store.limits.request-samples',
  'web.route-prefix',
  'web.external-prefix',
  'web.prefix-header',
  'web.disable-cors',
  'grpc-client-tls-secure',
  'grpc-client-tls-skip-verify',
  'grpc-client-tls-cert',
  'grpc-client-tls-key',
  'grpc-client-tls-ca',
  'grpc-client-server-name',
  'grpc-client-tls-min-version',
  'query.mode',
  'query.partition-label',
  'query.active-query-path',
  'alert.query-url',
  'query.telemetry.request-duration-seconds-quantiles',
  'query.telemetry.request-samples-quantiles',
  'query.telemetry.request-series-seconds-quantiles',
  'query.tenant-certificate-field',
  'query.enforce-tenancy',
  'query.tenant-label-name',
  'endpoint.sd-config-reload-interval',
  'query.disable-fallback',
  'query.distributed-with-overlapping-interval',
  'rule.partial-response',
  'target.partial-response',
  'metric-metadata.partial-response',
  'exemplar.partial-response',
  'status.partial-response',
  'grpc.proxy-strategy',
  'store.sd-dns-resolver',
  'inject-test-addresses',
  'query.lazy-retrieval-max-buffered-responses',
];

export const queryCommand = componentCommand(
  {
    name: 'query',
    summary: 'Answers PromQL over all endpoints.',
    flags: queryFlags,
    planned: plannedQueryFlags,
  },
  (values, runtime) => runQuery(queryConfig(values, runtime.clock.now()), runtime),
);

type Values = FlagValues<typeof queryFlags>;

/** `more` are endpoints besides those of the flags. */
export function queryConfig(
  values: Values,
  startedAtMs: number,
  more: readonly string[] = [],
): QueryConfig {
  const endpoints = endpointConfig(values, more);
  const selector = selectorOf(values);
  const tsdbSelector = (labelSets: readonly Labels[]) =>
    labelSets.filter((set) => selector!(set) !== undefined);
  return {
    http: httpOf(values),
    grpc: grpcOf(values),
    endpoints: {
      config: () => endpoints,
      files: values['store.sd-files'],
      fileIntervalMs: values['store.sd-interval'],
      dnsIntervalMs: values['store.sd-dns-interval'],
      infoTimeoutMs: values['endpoint.info-timeout'],
      unhealthyTimeoutMs: values['store.unhealthy-timeout'],
      connectionLabels: connectionLabels(values['query.conn-metric.label']),
      responseTimeoutMs: values['store.response-timeout'],
      ...(selector === undefined ? {} : { tsdbSelector }),
    },
    selectorLabels: parseLabelFlags('--selector-label', values['selector-label']),
    query: {
      timeoutMs: values['query.timeout'],
      maxConcurrent: values['query.max-concurrent'],
      maxConcurrentSelects: values['query.max-concurrent-select'],
      ...queryLimits(values, systemMemory()),
      maxSamples: values['query.max-samples'],
      maxSteps: values['query.max-steps'],
      slowQueryMs: values['query.log-queries-longer-than'],
      maxSeries: values['query.max-series'],
      workers: workersOf('--query.workers', values['query.workers'] ?? availableParallelism() - 1),
      lookbackMs: values['query.lookback-delta'] || DEFAULT_LOOKBACK_MS,
      dynamicLookback: values['query.dynamic-lookback-delta'],
      defaultStepMs: values['query.default-step'],
      evaluationIntervalMs: values['query.default-evaluation-interval'],
      features: featuresOf(values),
      replicaLabels: values['query.replica-label'].flatMap((text) => text.split(',')),
      algorithm: values['deduplication.func'],
      partialResponse: values['query.partial-response'],
      autoDownsampling: values['query.auto-downsampling'],
      metadataRangeMs: values['query.metadata.default-time-range'],
      instantMaxResolutionMs: values['query.instant.default.max_source_resolution'],
    },
    tenancy: {
      header: values['query.tenant-header'],
      defaultTenant: values['query.default-tenant-id'],
    },
    status: { version, startedAtMs, flags: flagTexts(queryFlags, values) },
  };
}

const DEFAULT_LOOKBACK_MS = 300_000;

function endpointConfig(values: Values, more: readonly string[]): EndpointConfig {
  const source = configSource(values['endpoint.sd-config'], values['endpoint.sd-config-file']);
  const file = source === undefined ? undefined : readConfig(source);
  return parseEndpointConfig(file?.source ?? '--endpoint', file?.text ?? '{}', {
    endpoints: [...values.endpoint, ...more],
    groups: values['endpoint-group'],
    strict: values['endpoint-strict'],
    strictGroups: values['endpoint-group-strict'],
    client: { tls: undefined, compression: values['grpc-compression'] },
  });
}

function connectionLabels(texts: readonly string[]): readonly ConnectionLabel[] {
  const names = texts.flatMap((text) => text.split(','));
  if (names.length === 0) return ['external_labels', 'store_type'];
  return names.map((name) => {
    const label = ConnectionLabels.find((known) => known === name);
    if (label === undefined) {
      throw new BadInputError(
        `--query.conn-metric.label: unknown label "${name}"; use ${ConnectionLabels.join(', ')}`,
      );
    }
    return label;
  });
}

const FEATURES = {
  'promql-experimental-functions': 'experimentalFunctions',
  'promql-extended-range-selectors': 'extendedRangeSelectors',
  'promql-delayed-name-removal': 'delayedNameRemoval',
  'promql-binop-fill-modifiers': 'fillModifiers',
} as const;

function featuresOf(values: Values): QueryConfig['query']['features'] {
  const names = values['enable-feature']
    .flatMap((text) => text.split(','))
    .filter((name) => name !== '');
  const enabled = names.map((name) => {
    if (!Object.hasOwn(FEATURES, name)) {
      throw new BadInputError(
        `--enable-feature: unknown feature "${name}"; use ${Object.keys(FEATURES).join(', ')}`,
      );
    }
    return [FEATURES[name as keyof typeof FEATURES], true] as const;
  });
  return { ...Object.fromEntries(enabled), xFunctions: values['query.enable-x-functions'] };
}
