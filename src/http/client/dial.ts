import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { joinAddress } from '#/lib/net.ts';
import type { Net } from '#/lib/net.ts';
import { http } from '../node-http.ts';
import { secureStream } from '../tls.ts';

export interface DialOptions {
  /** Asked at every new TLS connection, so that renewed certificates take effect. */
  readonly tls?: () => Promise<ConnectionOptions>;
  /** An HTTP proxy that every connection goes through. */
  readonly proxy?: URL;
  /** Default 5 s. */
  readonly dialTimeoutMs?: number;
  /** Default 10 s. */
  readonly tlsTimeoutMs?: number;
}

export interface Target {
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
}

/** Opens a stream that speaks HTTP with the target: through the proxy and inside TLS where asked. */
export async function dialTarget(
  target: Target,
  options: DialOptions,
  net: Net,
  clock: Clock,
): Promise<Duplex> {
  const { tls, proxy, dialTimeoutMs = 5000, tlsTimeoutMs = 10_000 } = options;
  const secure = target.protocol === 'https:';
  const address = joinAddress(target.host, target.port);
  using dialLimit = deadline(clock, dialTimeoutMs);
  const stream = await net.dial(
    proxy === undefined ? address : joinAddress(proxy.hostname, Number(proxy.port || 80)),
    dialLimit.signal,
  );
  if (!secure) return stream;
  using tlsLimit = deadline(clock, tlsTimeoutMs);
  if (proxy !== undefined) await openTunnel(stream, address, proxy, tlsLimit.signal);
  return secureStream(stream, target.host, (await tls?.()) ?? {}, tlsLimit.signal);
}

/** Asks the proxy at the other end of `stream` to pass bytes on to `address` (RFC 9110, CONNECT). */
function openTunnel(
  stream: Duplex,
  address: string,
  proxy: URL,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = http.request({
      createConnection: () => stream,
      method: 'CONNECT',
      path: address,
      headers: { host: address, ...proxyHeaders(proxy) },
      signal,
    });
    asked.once('error', reject);
    asked.once('connect', (answer) => {
      if (answer.statusCode === 200) resolve();
      else
        reject(new Error(`proxy ${proxy.host} answers ${answer.statusCode} to CONNECT ${address}`));
    });
    asked.end();
  });
}

/** What tells the proxy who we are, when its URL has a user. */
export function proxyHeaders({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
}
