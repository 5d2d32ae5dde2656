import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';

/**
 * Speaks TLS with `host` over `stream`. The name is checked against the certificate, and sent along
 * unless it is an IP address, which TLS does not allow. `options` go before both.
 */
export function secureStream(
  stream: Duplex,
  host: string,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const isName = !/^[\d.]+$|:/.test(host);
    const secure = connectTls({
      socket: stream,
      host,
      ...(isName ? { servername: host } : {}),
      ...options,
    });
    const abort = () => secure.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    secure.once('error', reject);
    secure.once('secureConnect', () => {
      signal.removeEventListener('abort', abort);
      secure.removeListener('error', reject);
      resolve(secure);
    });
  });
}
