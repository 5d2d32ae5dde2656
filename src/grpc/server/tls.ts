import { TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { Log } from '#/telemetry/logger.ts';

export interface ServerTls {
  /** Asked for every connection, so that renewed certificates serve from then on. */
  context(): SecureContext;
  /** Clients without a certificate of the context's authorities are turned away. */
  readonly requireClientCertificate: boolean;
}

/** Answers the TLS handshake on `stream` and goes on with the plain side of it. */
export function acceptTls(
  stream: Duplex,
  tls: ServerTls,
  log: Log,
  open: (secured: TLSSocket) => void,
): void {
  const secured = new TLSSocket(stream, {
    isServer: true,
    secureContext: tls.context(),
    requestCert: tls.requireClientCertificate,
    rejectUnauthorized: tls.requireClientCertificate,
    ALPNProtocols: ['h2'],
  });
  secured.on('error', (err) => {
    log.debug('gRPC connection: TLS failed', { err });
    stream.destroy();
  });
  secured.once('secure', () => {
    const refusal = tls.requireClientCertificate ? secured.authorizationError : undefined;
    if (refusal === undefined || refusal === null) open(secured);
    else secured.destroy(refusal instanceof Error ? refusal : new Error(String(refusal)));
  });
}
