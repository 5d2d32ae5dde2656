import type { AgentOptions } from 'node:https';
import * as v from 'valibot';
import { duration, wholeNumber } from '#/config/schema.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';

export const DIAL_MS = 30_000;
/** Where the configuration sets no bound of its own. */
const DEFAULT_CONNECTIONS = 256;

/** The `http_config` of providers that speak HTTP, with Thanos's defaults. */
export const httpConfig = v.strictObject({
  idle_conn_timeout: v.optional(duration(), '1m30s'),
  /** Of one attempt: until the answer begins, and then between any two pieces of it. */
  response_header_timeout: v.optional(duration(), '2m'),
  insecure_skip_verify: v.optional(v.boolean(), false),
  tls_handshake_timeout: v.optional(duration(), '10s'),
  /** Nothing here sends `Expect`. */
  expect_continue_timeout: v.optional(duration(), '1s'),
  max_idle_conns: v.optional(wholeNumber(), 100),
  max_idle_conns_per_host: v.optional(wholeNumber(), 100),
  max_conns_per_host: v.optional(wholeNumber(), 0),
  tls_config: v.optional(
    v.strictObject({
      ca_file: v.optional(v.string(), ''),
      cert_file: v.optional(v.string(), ''),
      key_file: v.optional(v.string(), ''),
      server_name: v.optional(v.string(), ''),
      insecure_skip_verify: v.optional(v.boolean(), false),
    }),
    {},
  ),
  /** Upstream reads it and does nothing with it. */
  disable_compression: v.optional(v.boolean(), false),
});

export type HttpConfig = v.InferOutput<typeof httpConfig>;

/** What is wrong with keys that are each well-formed; `undefined` if they go together. */
export function problemOfHttp({ tls_config }: HttpConfig): string | undefined {
  const { cert_file, key_file } = tls_config;
  return (cert_file === '') === (key_file === '')
    ? undefined
    : '"config.http_config.tls_config": set cert_file and key_file together';
}

/**
 * Options of Node's HTTP agents, and those that an HTTPS one adds.
 * @throws BadInputError if a file that the configuration names cannot be read.
 */
export async function agentOptions(
  http: HttpConfig,
  disk: Disk,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly connections: AgentOptions; readonly tls: AgentOptions }> {
  const { ca_file, cert_file, key_file, server_name } = http.tls_config;
  return {
    connections: {
      keepAlive: true,
      maxSockets: http.max_conns_per_host === 0 ? DEFAULT_CONNECTIONS : http.max_conns_per_host,
      maxFreeSockets: Math.max(1, http.max_idle_conns_per_host),
      proxyEnv: environment,
    },
    tls: {
      // The key above tls_config overrides the one in it, as in Thanos.
      rejectUnauthorized: !http.insecure_skip_verify,
      ...(ca_file === '' ? {} : { ca: await readFile(disk, 'ca_file', ca_file) }),
      ...(cert_file === '' ? {} : { cert: await readFile(disk, 'cert_file', cert_file) }),
      ...(key_file === '' ? {} : { key: await readFile(disk, 'key_file', key_file) }),
      ...(server_name === '' ? {} : { servername: server_name }),
    },
  };
}

async function readFile(disk: Disk, key: string, path: string): Promise<string> {
  return new TextDecoder().decode(await readConfiguredFile(disk, key, path));
}

/** @throws BadInputError that names the key of the configuration. */
export async function readConfiguredFile(
  disk: Disk,
  key: string,
  path: string,
): Promise<Uint8Array> {
  try {
    return await disk.read(path);
  } catch (thrown) {
    throw new BadInputError(`"${key}": cannot read ${path}: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}
