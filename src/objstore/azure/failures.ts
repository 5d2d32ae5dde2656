import { certificateHint, isTransient } from '../remote/failure.ts';
import type { Failure } from '../remote/failure.ts';
import type { Meaning, ServiceWords } from '../remote/service.ts';

/** A failure of the SDK, with the fields that tell what happened. */
interface SdkError extends Error {
  readonly code?: unknown;
  readonly statusCode?: number;
  readonly details?: { readonly errorCode?: string };
  readonly response?: { readonly headers?: { get(name: string): string | undefined } };
}

/** Errors of the library that gets tokens. */
const CREDENTIAL_ERRORS = new Set([
  'AuthenticationError',
  'AggregateAuthenticationError',
  'AuthenticationRequiredError',
  'CredentialUnavailableError',
]);

function failureOf(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) {
    return { code: 'Unknown', status: 0, message: String(thrown), retryAfterSeconds: undefined };
  }
  const error = thrown as SdkError;
  const isCredential = CREDENTIAL_ERRORS.has(error.name);
  const retryAfter = Number(error.response?.headers?.get('retry-after') ?? Number.NaN);
  return {
    code: isCredential ? 'CredentialsError' : codeOf(error),
    status: isCredential ? 0 : (error.statusCode ?? 0),
    // The lines below the first repeat the id and time of the request.
    message: error.message.split('\n')[0]!,
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : undefined,
  };
}

function codeOf(error: SdkError): string {
  if (typeof error.code === 'string' && error.code !== '') return error.code;
  const told = error.details?.errorCode ?? error.response?.headers?.get('x-ms-error-code');
  if (told !== undefined) return told;
  // What its stream makes of a connection that ends early.
  const isBroken = error.name === 'AbortError' || error.message.startsWith('Data corruption');
  return isBroken ? 'BrokenBody' : error.name;
}

export function isMissingContainer({ code }: Failure): boolean {
  return code === 'ContainerNotFound';
}

export function isDenied({ status }: Failure): boolean {
  return status === 403;
}

function meaningOf(failure: Failure): Meaning {
  const { status, code } = failure;
  if (isMissingContainer(failure)) return 'other';
  if (status === 404 || code === 'InvalidUri') return 'missing';
  if (status === 412 || code === 'BlobAlreadyExists') return 'condition failed';
  return status === 416 ? 'past the end' : 'other';
}

/** A container that is being deleted can be created again after a while. */
function isRetryable(failure: Failure): boolean {
  return failure.code === 'ContainerBeingDeleted' || isTransient(failure);
}

interface Place {
  readonly account: string;
  readonly container: string;
  readonly endpoint: string;
}

export function azureWords(place: Place): ServiceWords {
  return {
    failureOf,
    meaningOf,
    isRetryable,
    explain: (failure) => explain(failure, place),
  };
}

function explain(failure: Failure, { account, container, endpoint }: Place): string {
  const { status, code, message } = failure;
  switch (code) {
    case 'ContainerNotFound':
      return `container "${container}" does not exist at ${endpoint}; check container, or set storage_create_container: true`;
    case 'InvalidResourceName':
      return `container "${container}": ${message}; want 3 to 63 lower-case letters, digits and single hyphens`;
    case 'AuthenticationFailed':
    case 'InvalidAuthenticationInfo':
    case 'NoAuthenticationInformation':
      return `${endpoint} does not accept the credentials (${code}); check storage_account and storage_account_key, storage_connection_string, or the application's client_id and client_secret`;
    case 'AuthorizationFailure':
    case 'AuthorizationPermissionMismatch':
    case 'InsufficientAccountPermissions':
      return `access to container "${container}" of account "${account}" is denied (${code}); check the key, or that the identity is a Storage Blob Data Contributor, and that the account's firewall lets this machine in`;
    case 'CredentialsError':
      return `no token for ${endpoint}: ${message}; check az_tenant_id, client_id and client_secret, user_assigned_id, or the identity of this machine`;
    case 'InvalidBlockList':
      return `somebody else wrote the object meanwhile; upload it again`;
    case 'ENOTFOUND':
      return `the name of ${endpoint} cannot be resolved; check storage_account ("${account}") and endpoint`;
    case 'ECONNREFUSED':
      return `nothing listens at ${endpoint}; check endpoint or storage_connection_string`;
    default:
      return status === 0
        ? `no answer from ${endpoint}: ${code}: ${message}${certificateHint(code)}`
        : `${endpoint} answered ${status} ${code}: ${message}`;
  }
}
