import * as v from 'valibot';
import { parseYaml } from '#/config/yaml.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import type { HttpClientOptions } from './client.ts';

/** How to reach an HTTP server, as `--prometheus.http-client` and `http_config` say it. */
export type HttpClientConfig = v.InferOutput<typeof schema>;

const text = v.optional(v.string(), '');
const toggle = v.optional(v.boolean(), false);
/** Nanoseconds on the page, milliseconds from here on. */
const nanoseconds = (defaultMs: number) =>
  v.pipe(
    v.optional(v.number(), defaultMs * 1e6),
    v.transform((value) => value / 1e6),
  );

const schema = v.strictObject({
  basic_auth: v.optional(
    v.strictObject({ username: text, password: text, password_file: text }),
    {},
  ),
  bearer_token: text,
  bearer_token_file: text,
  proxy_url: text,
  tls_config: v.optional(
    v.strictObject({
      ca_file: text,
      cert_file: text,
      key_file: text,
      server_name: text,
      insecure_skip_verify: toggle,
    }),
    {},
  ),
  transport_config: v.optional(
    v.strictObject({
      /** Only the number for each host is bounded here. */
      max_idle_conns: v.optional(v.number()),
      max_conns_per_host: v.optional(v.number()),
      /** No request of ours waits for a 100. */
      expect_continue_timeout: v.optional(v.number()),
      max_idle_conns_per_host: v.optional(v.number(), 2),
      idle_conn_timeout: nanoseconds(90_000),
      response_header_timeout: nanoseconds(0),
      disable_compression: toggle,
      tls_handshake_timeout: nanoseconds(10_000),
      dialer_timeout: nanoseconds(5000),
    }),
    {},
  ),
});

/**
 * Reads the YAML of a client; an empty text is the default one. An unknown key is refused, where
 * Thanos leaves it out: it is a typo, and a client without its password is worse than none.
 * @throws BadInputError, opened by `source`, also for settings that exclude each other.
 */
export function parseHttpClientConfig(source: string, yaml: string): HttpClientConfig {
  const config = parseYaml(source, yaml.trim() === '' ? '{}' : yaml, schema);
  const { basic_auth: basic } = config;
  const hasBasic = basic.username !== '' || basic.password !== '' || basic.password_file !== '';
  const hasBearer = config.bearer_token !== '' || config.bearer_token_file !== '';
  const excluding = [
    ['bearer_token', 'bearer_token_file', config.bearer_token, config.bearer_token_file],
    ['password', 'password_file', basic.password, basic.password_file],
    ['basic_auth', 'bearer_token', hasBasic ? 'x' : '', hasBearer ? 'x' : ''],
  ] as const;
  for (const [one, other, a, b] of excluding) {
    if (a !== '' && b !== '') {
      throw new BadInputError(`${source}: "${one}" and "${other}" exclude each other; set one`);
    }
  }
  if ((config.tls_config.cert_file === '') !== (config.tls_config.key_file === '')) {
    throw new BadInputError(`${source}: "cert_file" and "key_file" belong together; set both`);
  }
  if (config.proxy_url !== '' && !/^http:\/\/./.test(config.proxy_url)) {
    throw new BadInputError(
      `${source}: "proxy_url" is "${config.proxy_url}"; want http://host:port`,
    );
  }
  return config;
}

/** What a client needs to follow `config`. Files are read at every use, so renewed ones count at once. */
export function clientOptionsOf(
  config: HttpClientConfig,
  disk: Disk,
): Omit<HttpClientOptions, 'net' | 'clock' | 'userAgent'> {
  const { transport_config: transport } = config;
  return {
    tls: () => tlsOptions(config, disk),
    authorization: () => authorization(config, disk),
    ...(config.proxy_url === '' ? {} : { proxy: new URL(config.proxy_url) }),
    maxIdlePerHost: transport.max_idle_conns_per_host,
    idleTimeoutMs: transport.idle_conn_timeout,
    compression: !transport.disable_compression,
    tlsTimeoutMs: transport.tls_handshake_timeout,
    dialTimeoutMs: transport.dialer_timeout,
    ...(transport.response_header_timeout === 0
      ? {}
      : { responseTimeoutMs: transport.response_header_timeout }),
  };
}

async function tlsOptions({ tls_config: tls }: HttpClientConfig, disk: Disk) {
  const file = (path: string) => disk.read(path).then((bytes) => Buffer.from(bytes));
  return {
    ...(tls.ca_file === '' ? {} : { ca: await file(tls.ca_file) }),
    ...(tls.cert_file === '' ? {} : { cert: await file(tls.cert_file) }),
    ...(tls.key_file === '' ? {} : { key: await file(tls.key_file) }),
    ...(tls.server_name === '' ? {} : { servername: tls.server_name }),
    rejectUnauthorized: !tls.insecure_skip_verify,
  };
}

async function authorization(config: HttpClientConfig, disk: Disk): Promise<string | undefined> {
  const secret = async (inPlace: string, path: string) =>
    path === ''
      ? inPlace
      : Buffer.from(await disk.read(path))
          .toString()
          .trim();
  const token = await secret(config.bearer_token, config.bearer_token_file);
  if (token !== '') return `Bearer ${token}`;
  const { username, password, password_file } = config.basic_auth;
  if (username === '') return undefined;
  const credentials = `${username}:${await secret(password, password_file)}`;
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}
