import { messageOf } from '#/lib/errors.ts';
import { certificateHint, isTransient } from '../remote/failure.ts';
import type { Failure } from '../remote/failure.ts';
import type { Meaning, ServiceWords } from '../remote/service.ts';

/** An answer that is no success. */
export class GcsError extends Error {
  override readonly name = 'GcsError';
  readonly status: number;
  /** Google's own word, such as `conditionNotMet`. */
  readonly reason: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, body: string, retryAfter: string | undefined) {
    const { message, reason } = errorOf(body);
    super(message);
    this.status = status;
    this.reason = reason;
    const seconds = Number(retryAfter ?? Number.NaN);
    this.retryAfterSeconds = Number.isFinite(seconds) ? seconds : undefined;
  }
}

/** Google's library could not get a token. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError';
  /** Whether the token's server may answer another time. */
  readonly isTransient: boolean;

  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
    const { status = 0, code } = cause as { readonly status?: number; readonly code?: unknown };
    this.isTransient = isTransient({ ...failureOf(cause), status, code: String(code) });
  }
}

interface ErrorBody {
  readonly error?: {
    readonly message?: string;
    readonly errors?: readonly { readonly reason?: string }[];
  };
}

/** Of JSON, or the text as it is: contents of objects are refused in plain text. */
function errorOf(body: string): { readonly message: string; readonly reason: string } {
  try {
    const { error } = JSON.parse(body) as ErrorBody;
    return { message: error?.message ?? '', reason: error?.errors?.[0]?.reason ?? '' };
  } catch {
    return { message: body.trim().slice(0, 200), reason: '' };
  }
}

function failureOf(thrown: unknown): Failure {
  if (thrown instanceof GcsError) {
    const { status, reason, message, retryAfterSeconds } = thrown;
    return { code: reason, status, message, retryAfterSeconds };
  }
  if (thrown instanceof CredentialsError) {
    const code = thrown.isTransient ? 'CredentialsUnavailable' : 'CredentialsError';
    return { code, status: 0, message: thrown.message, retryAfterSeconds: undefined };
  }
  if (!(thrown instanceof Error)) {
    return { code: 'Unknown', status: 0, message: String(thrown), retryAfterSeconds: undefined };
  }
  const { code } = thrown as { readonly code?: unknown };
  return {
    code: typeof code === 'string' ? code : thrown.name,
    status: 0,
    message: thrown.message,
    retryAfterSeconds: undefined,
  };
}

/** Whether the bucket itself is missing, as far as the text tells. */
export function isMissingBucket({ status, message }: Failure): boolean {
  return status === 404 && /bucket does not exist/i.test(message);
}

function meaningOf(failure: Failure): Meaning {
  switch (failure.status) {
    case 404:
      return isMissingBucket(failure) ? 'other' : 'missing';
    case 412:
      return 'condition failed';
    case 416:
      return 'past the end';
    default:
      return 'other';
  }
}

/** Over quota comes as 403, too. */
function isRetryable(failure: Failure): boolean {
  return /RateLimitExceeded$|^CredentialsUnavailable$/i.test(failure.code) || isTransient(failure);
}

export function gcsWords(bucket: string, endpoint: string): ServiceWords {
  const explain = (failure: Failure): string => {
    const { status, code, message } = failure;
    if (isMissingBucket(failure)) {
      return `bucket "${bucket}" does not exist at ${endpoint}; check bucket`;
    }
    if (code.startsWith('Credentials')) {
      return `no credentials for ${endpoint}: ${message}; check service_account, GOOGLE_APPLICATION_CREDENTIALS or the service account of the machine`;
    }
    if (status === 401) {
      return `${endpoint} does not accept the credentials: ${message}; check service_account or GOOGLE_APPLICATION_CREDENTIALS`;
    }
    if (status === 403) {
      return `access to bucket "${bucket}" is denied: ${message}; check the rights of the service account (storage.objects.list, get, create and delete)`;
    }
    if (status > 0) return `${endpoint} answered ${status} ${code}: ${message}`;
    if (code === 'ENOTFOUND') return `the name of ${endpoint} cannot be resolved; check DNS`;
    if (code === 'ECONNREFUSED') return `nothing listens at ${endpoint}`;
    return `no answer from ${endpoint}: ${code}: ${message}${certificateHint(code)}`;
  };
  return { failureOf, isRetryable, explain, meaningOf };
}
