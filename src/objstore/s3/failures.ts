import { certificateHint, isTransient } from '../remote/failure.ts';
import type { Failure } from '../remote/failure.ts';
import type { Meaning, ServiceWords } from '../remote/service.ts';

/** A failure of the SDK, with the fields that tell what happened. */
interface SdkError extends Error {
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

function failureOf(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) {
    return { code: 'Unknown', status: 0, message: String(thrown), retryAfterSeconds: undefined };
  }
  const error = thrown as SdkError;
  const status = error.$metadata?.httpStatusCode ?? 0;
  const retryAfter = Number(error.$response?.headers?.['retry-after'] ?? Number.NaN);
  return {
    code: codeOf(error, status),
    status,
    message: error.message,
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : undefined,
  };
}

function codeOf(error: SdkError, status: number): string {
  if (error.message.startsWith('Checksum mismatch')) return 'BrokenBody';
  return status === 0 && typeof error.code === 'string' ? error.code : error.name;
}

const BUSY_CODES = new Set([
  'SlowDown',
  'RequestTimeout',
  'InternalError',
  'ServiceUnavailable',
  'Throttling',
  'ThrottlingException',
  'TooManyRequests',
  'OperationAborted',
  'ConditionalRequestConflict',
  'BadDigest',
]);

function isRetryable(failure: Failure): boolean {
  return BUSY_CODES.has(failure.code) || isTransient(failure);
}

/** The answer to HEAD has no text: its code is unknown. */
function meaningOf({ code, status }: Failure): Meaning {
  if (code === 'NoSuchKey') return 'missing';
  if (code === 'NoSuchUpload') return 'upload gone';
  if (code === 'PreconditionFailed') return 'condition failed';
  switch (status) {
    case 404:
      return code === 'NotFound' || code === 'Unknown' ? 'missing' : 'other';
    case 412:
      return 'condition failed';
    case 416:
      return 'past the end';
    default:
      return 'other';
  }
}

interface Place {
  readonly bucket: string;
  readonly endpoint: string;
  readonly region: string;
}

export function s3Words(place: Place): ServiceWords {
  return { failureOf, meaningOf, isRetryable, explain: (failure) => explain(failure, place) };
}

function explain(failure: Failure, { bucket, endpoint, region }: Place): string {
  const { status, message } = failure;
  // The answer to HEAD has no text that would name the code.
  const code = status === 403 && failure.code === 'Unknown' ? 'AccessDenied' : failure.code;
  switch (code) {
    case 'NoSuchBucket':
      return `bucket "${bucket}" does not exist at ${endpoint}; check bucket, endpoint and region (${region}) of the configuration`;
    case 'InvalidAccessKeyId':
      return `${endpoint} does not know the access key; check access_key, and that it belongs to this endpoint`;
    case 'SignatureDoesNotMatch':
      return `${endpoint} rejects the signature; check secret_key, region (${region}), and that no proxy changes requests`;
    case 'AccessDenied':
    case 'Forbidden':
      return `access to bucket "${bucket}" at ${endpoint} is denied; check the credentials and their rights (s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject)`;
    case 'ExpiredToken':
    case 'InvalidToken':
      return `${endpoint} says that the session token is not valid any more; check session_token`;
    case 'RequestTimeTooSkewed':
      return `${endpoint} says that the time of this machine is wrong; check its clock`;
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
      return `bucket "${bucket}" is in another region than ${region}; check region and endpoint (${endpoint}: ${message})`;
    case 'CredentialsProviderError':
      return `no credentials were found; set access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role (${message})`;
    case 'ENOTFOUND':
      return `the name of ${endpoint} cannot be resolved; check endpoint`;
    case 'ECONNREFUSED':
      return `nothing listens at ${endpoint}; check endpoint, its port and insecure`;
    case 'EPROTO':
      return `${endpoint} does not speak TLS as expected; set insecure: true for plain HTTP (${message})`;
    default:
      return status === 0
        ? `no answer from ${endpoint}: ${code}: ${message}${certificateHint(code)}`
        : `${endpoint} answered ${status} ${code}: ${message}`;
  }
}
