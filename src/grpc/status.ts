import {
  BadInputError,
  CorruptionError,
  LimitError,
  NotFoundError,
  UnavailableError,
  messageOf,
} from '#/lib/errors.ts';

/** The status codes of gRPC, by the names that Go prints. */
export const Status = {
  OK: 0,
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

const names = new Map<number, string>(Object.entries(Status).map(([name, code]) => [code, name]));

/** `InvalidArgument`; `Code(99)` for a number outside the table. */
export function statusName(code: number): string {
  return names.get(code) ?? `Code(${code})`;
}

/**
 * A failure that is known by its gRPC code alone: one that a peer answered with and no class of
 * lib/errors.ts stands for, or one that has to leave with exactly this code.
 */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The status that a call ends with when its handler throws: the one table from errors to codes.
 * Everything that is not in it is a bug of ours, and `Internal`.
 */
export function statusOf(thrown: unknown): { readonly code: number; readonly message: string } {
  return { code: codeOf(thrown), message: messageOf(thrown) };
}

function codeOf(thrown: unknown): number {
  if (thrown instanceof StatusError) return thrown.code;
  if (thrown instanceof BadInputError) return Status.InvalidArgument;
  if (thrown instanceof NotFoundError) return Status.NotFound;
  if (thrown instanceof LimitError) return Status.ResourceExhausted;
  if (thrown instanceof UnavailableError) return Status.Unavailable;
  if (thrown instanceof CorruptionError) return Status.DataLoss;
  if (thrown instanceof Error && thrown.name === 'AbortError') return Status.Canceled;
  if (thrown instanceof Error && thrown.name === 'TimeoutError') return Status.DeadlineExceeded;
  return Status.Internal;
}

/**
 * The error for a status that a peer answered with, by the same table read backwards. The cause is
 * a `StatusError` with the peer's own code and text; `where` opens the message.
 */
export function errorOfStatus(code: number, message: string, where: string): Error {
  const cause = new StatusError(code, message);
  const text = `${where}: ${message === '' ? statusName(code) : message}`;
  switch (code) {
    case Status.InvalidArgument:
      return new BadInputError(text, { cause });
    case Status.NotFound:
      return new NotFoundError(text, { cause });
    case Status.ResourceExhausted:
      return new LimitError(text, { cause });
    case Status.Unavailable:
    case Status.DeadlineExceeded:
      return new UnavailableError(text, { cause });
    case Status.DataLoss:
      return new CorruptionError(text, { cause });
    default:
      return new StatusError(code, text, { cause });
  }
}

/** The code that a peer answered with, if `thrown` comes from an answer. */
export function peerStatus(thrown: unknown): number | undefined {
  if (thrown instanceof StatusError) return thrown.code;
  return thrown instanceof Error && thrown.cause instanceof StatusError
    ? thrown.cause.code
    : undefined;
}

/** `grpc-message` is percent-encoded UTF-8 in which printable ASCII but `%` stands for itself. */
export function encodeStatusMessage(message: string): string {
  return message.replaceAll(/[^\x20-\x24\x26-\x7e]+/g, (run) => {
    let encoded = '';
    for (const byte of Buffer.from(run)) {
      encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    }
    return encoded;
  });
}

/** Takes what is no proper encoding as it stands, since a garbled text is better than none. */
export function decodeStatusMessage(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  const bytes = encoded.replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString();
}
