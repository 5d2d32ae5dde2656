import { configFlags, flag } from './flags.ts';

/** Flags that every command has (GLOBAL in Thanos's documentation). */
export const globalFlags = {
  'log.level': flag.oneOf(['debug', 'info', 'warn', 'error'], {
    help: 'The least severe log lines to write.',
    default: 'info',
  }),
  'log.format': flag.oneOf(['logfmt', 'json'], { help: 'How log lines look.', default: 'logfmt' }),
  'enable-auto-gomemlimit': flag.toggle({
    help: 'Accepted for compatibility; memory limits follow the container by themselves.',
    default: false,
    hidden: true,
  }),
  'auto-gomemlimit.ratio': flag.text({
    help: 'Accepted for compatibility.',
    default: '0.9',
    hidden: true,
  }),
};

export const httpFlags = {
  'http-address': flag.address({
    help: 'Where to listen for HTTP, as host:port.',
    default: '0.0.0.0:10902',
  }),
  'http-grace-period': flag.duration({
    help: 'How long HTTP requests may take to end at shutdown.',
    default: '2m',
  }),
};

export const grpcFlags = {
  'grpc-address': flag.address({
    help: 'Where to listen for gRPC, as host:port.',
    default: '0.0.0.0:10901',
  }),
  'grpc-grace-period': flag.duration({
    help: 'How long gRPC calls may take to end at shutdown.',
    default: '2m',
  }),
};

export const objstoreFlags = {
  ...configFlags('objstore.config', { help: 'The bucket, as in Thanos.' }),
  ...configFlags('objstore.request-prices', {
    help: 'What requests to the bucket cost, for the estimate in the metrics; list prices when absent.',
  }),
  'objstore.max-qps': flag.integer({
    help: 'Requests a second to the bucket at most, with retries; 0 for no bound. A directory has none.',
    default: '0',
  }),
};

export const shipperFlags = {
  'shipper.upload-compacted': flag.toggle({
    help: 'Upload compacted blocks too, which Prometheus must not compact any further.',
    default: false,
  }),
  'shipper.meta-file-name': flag.text({
    help: 'Name of the file below --tsdb.path that lists the uploaded blocks.',
    default: 'thanos.shipper.json',
  }),
  'shipper.upload-concurrency': flag.integer({
    help: 'Files of a block to upload at once; 0 for one.',
    default: '0',
  }),
  'shipper.upload-bandwidth': flag.bytes({
    help: 'The most that all uploads together send in a second; 0 for no limit.',
    default: '0',
  }),
  'hash-func': flag.oneOf(['', 'SHA256'], {
    help: 'Hash of every file to write into meta.json.',
    default: '',
  }),
  'shipper.ignore-unequal-block-size': flag.toggle({
    help: 'Upload although Prometheus compacts its blocks.',
    default: false,
    hidden: true,
  }),
  'shipper.allow-out-of-order-uploads': flag.toggle({
    help: 'Go on with the next block when one cannot be uploaded.',
    default: false,
    hidden: true,
  }),
  'shipper.skip-corrupted-blocks': flag.toggle({
    help: 'Go on with the next block when one cannot be read.',
    default: false,
    hidden: true,
  }),
};

export const storeLimitFlags = {
  'store.limits.request-series': flag.integer({
    help: 'Series that one Series call may answer; 0 for no limit.',
    default: '0',
  }),
  'store.limits.request-samples': flag.integer({
    help: 'Samples that one Series call may answer, counted as 120 a chunk; 0 for no limit.',
    default: '0',
  }),
};

/** Of pages that link relatively, and so are at home below any prefix that a proxy strips. */
export const webFlags = {
  'web.route-prefix': flag.text({
    help: 'Where the page and the API are served, as /hindsight.',
    default: '',
  }),
  'web.external-prefix': flag.text({
    help: 'Below what a proxy shows the page. Links are relative, so any prefix that the proxy strips works.',
    default: '',
  }),
  'web.prefix-header': flag.text({
    help: 'The header in which a proxy tells its prefix; relative links need none.',
    default: '',
  }),
  'web.disable-cors': flag.toggle({ help: 'Send no CORS headers.', default: false }),
  'disable-admin-operations': flag.toggle({
    help: 'Refuse to mark blocks through the API.',
    default: false,
  }),
};

/** TLS, tracing and request logging: of Thanos, not here yet. */
export const plannedGlobalFlags = ['tracing.config', 'tracing.config-file', 'http.config'];
export const plannedServerFlags = [
  ...plannedGlobalFlags,
  'request.logging-config',
  'request.logging-config-file',
  'grpc-server-tls-cert',
  'grpc-server-tls-key',
  'grpc-server-tls-client-ca',
  'grpc-server-tls-min-version',
  'grpc-server-tls-ciphers',
  'grpc-server-tls-curves',
  'grpc-server-max-connection-age',
];
