import { createServer } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { Log } from '#/telemetry/logger.ts';

export interface ServerTls {
  /**
   * Certificate, key, authorities of clients and versions. Asked for every connection; another
   * object than before serves from then on, so that renewed certificates need no restart.
   */
  context(): SecureContextOptions;
  /** Clients without a certificate of the context's authorities are turned away. */
  readonly requireClientCertificate: boolean;
}

/** Makes a function that answers TLS handshakes and hands the plain sides to `open`. */
export function tlsAcceptor(
  tls: ServerTls,
  log: Log,
  open: (secured: Duplex) => void,
): (stream: Duplex) => void {
  let context = tls.context();
  // It never listens: connections are put into it, and it checks certificates as Node's own servers do.
  const server = createServer({
    ...context,
    requestCert: tls.requireClientCertificate,
    rejectUnauthorized: tls.requireClientCertificate,
    ALPNProtocols: ['h2'],
  });
  server.on('secureConnection', (secured) => {
    secured.on('error', () => undefined);
    open(secured);
  });
  server.on('tlsClientError', (err) => log.debug('gRPC connection: TLS failed', { err }));
  return (stream) => {
    const current = tls.context();
    if (current !== context) server.setSecureContext(current);
    context = current;
    server.emit('connection', stream);
  };
}
