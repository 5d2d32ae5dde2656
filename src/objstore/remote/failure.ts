/** What happened to a request, out of whatever a provider's library throws. */
export interface Failure {
  /** The provider's own code (`NoSuchKey`), Node's (`ECONNREFUSED`) or the error's name. */
  readonly code: string;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly message: string;
  /** Seconds the server asks to wait. */
  readonly retryAfterSeconds: number | undefined;
}

/** How one provider's failures are read and told. */
export interface FailureWords {
  failureOf(thrown: unknown): Failure;
  isRetryable(failure: Failure): boolean;
  /** The failure in the operator's words, with what to check. */
  explain(failure: Failure): string;
}

/** Network failures after which a new connection may work. */
const NETWORK_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
  'TimeoutError',
  'TruncatedBody',
  'BrokenBody',
]);

/** By status, or by Node's code when there was no answer. */
export function isTransient({ code, status }: Failure): boolean {
  if (status === 0) return NETWORK_CODES.has(code);
  // A server that does not know a request will not learn it.
  return status === 408 || status === 429 || (status >= 500 && status !== 501);
}

const THROTTLE_CODES =
  /^(SlowDown|ServerBusy|Throttling|ThrottlingException|TooManyRequests|RequestLimitExceeded|(user)?RateLimitExceeded)$/i;

/** Whether the server is well, and asks for fewer requests. */
export function isThrottled({ code, status, retryAfterSeconds }: Failure): boolean {
  const asksToWait = status === 503 && retryAfterSeconds !== undefined;
  return status === 429 || asksToWait || THROTTLE_CODES.test(code);
}

/** Whether the provider itself is at fault, rather than what it was asked for. */
export function isOutage(failure: Failure): boolean {
  return isTransient(failure) && !isThrottled(failure);
}

/** Whether the request may have taken effect although it failed. */
export function isAmbiguous({ status }: Failure): boolean {
  return status === 0 || status >= 500;
}

export function certificateHint(code: string): string {
  return /CERT|UNABLE_TO|ERR_TLS/.test(code)
    ? '; check http_config.tls_config (ca_file, server_name)'
    : '';
}
