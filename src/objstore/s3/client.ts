import type * as Sdk from '@aws-sdk/client-s3';
import type { Clock } from '#/lib/clock.ts';
import type { Disk } from '#/lib/disk.ts';
import type { Log } from '#/telemetry/logger.ts';
import { DIAL_MS, agentOptions } from '../remote/http.ts';
import type { S3Config } from './config.ts';

export type SdkModule = typeof Sdk;

/** The SDK takes 0.1 s and 40 MB to load: only who uses S3 pays for it. */
export function loadSdk(): Promise<SdkModule> {
  return import('@aws-sdk/client-s3');
}

interface ClientOptions {
  readonly sdk: SdkModule;
  readonly config: S3Config;
  readonly disk: Disk;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Pick<Clock, 'now'>;
  /** Where `trace.enable` shows the requests. */
  readonly log: Log | undefined;
}

const AWS_HOST = /(^|\.)amazonaws\.com(\.cn)?$/;
/** The plain endpoints of a region, which the SDK knows to spell. */
const AWS_REGIONAL = /^s3(?:[.-](?:dualstack\.)?([a-z0-9-]+))?\.amazonaws\.com(\.cn)?$/;
/** Others that want the bucket in the host name. */
const VIRTUAL_HOSTS = /(^|\.)(storage\.googleapis\.com|aliyuncs\.com)$/;

export function isAws({ endpoint }: S3Config): boolean {
  return AWS_HOST.test(hostOf(endpoint));
}

/** As configured, else from the endpoint's name, else S3's first region, which most servers take. */
export function regionOf({ region, endpoint }: S3Config): string {
  if (region !== '') return region;
  return AWS_REGIONAL.exec(hostOf(endpoint))?.[1] ?? 'us-east-1';
}

export function endpointUrl({ endpoint, insecure }: S3Config): string {
  return `${insecure ? 'http' : 'https'}://${endpoint}`;
}

/** A client that tries once; retries are the caller's. */
export async function createClient(options: ClientOptions): Promise<Sdk.S3Client> {
  const { sdk, config } = options;
  const onAws = isAws(config);
  const checksums = onAws ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED';
  const client = new sdk.S3Client({
    region: regionOf(config),
    ...(AWS_REGIONAL.test(hostOf(config.endpoint)) && !config.insecure
      ? { useDualstackEndpoint: !config.disable_dualstack, followRegionRedirects: true }
      : { endpoint: endpointUrl(config) }),
    forcePathStyle: usesPathStyle(config),
    ...(config.access_key === ''
      ? {}
      : {
          credentials: {
            accessKeyId: config.access_key,
            secretAccessKey: config.secret_key,
            ...(config.session_token === '' ? {} : { sessionToken: config.session_token }),
          },
        }),
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    maxAttempts: 1,
    customUserAgent: 'hindsight',
    requestHandler: await handlerOptions(options),
    // It warns through the console otherwise.
    logger: silent,
  });
  if (config.trace.enable) trace(client, options);
  return client;
}

function trace(client: Sdk.S3Client, { clock, log }: ClientOptions): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const start = clock.now();
      let outcome = 'failed';
      try {
        const result = await next(args);
        outcome = 'ok';
        return result;
      } finally {
        const operation = context.commandName;
        log?.debug('s3 request', { operation, outcome, duration_ms: clock.now() - start });
      }
    },
    { step: 'initialize', name: 'trace' },
  );
}

const nothing = () => undefined;
const silent = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

function usesPathStyle({ bucket_lookup_type: lookup, endpoint }: S3Config): boolean {
  if (lookup !== 'auto') return lookup === 'path';
  const host = hostOf(endpoint);
  return !AWS_HOST.test(host) && !VIRTUAL_HOSTS.test(host);
}

function hostOf(endpoint: string): string {
  return endpoint.replace(/:\d+$/, '').toLowerCase();
}

async function handlerOptions({ config, disk, environment }: ClientOptions) {
  const { connections, tls } = await agentOptions(config.http_config, disk, environment);
  return {
    connectionTimeout: DIAL_MS,
    httpAgent: connections,
    httpsAgent: { ...connections, ...tls },
  };
}
