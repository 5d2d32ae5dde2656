/**
 * The few kinds of failure, told apart by what the caller can do. Everything else that is thrown is
 * a bug. A message says where, what was found, what was expected and what to do.
 */

/** The request is wrong: fix it before sending it again. */
export class BadInputError extends Error {
  override readonly name = 'BadInputError';
}

/** Stored or received bytes are damaged: reading them again gives the same. */
export class CorruptionError extends Error {
  override readonly name = 'CorruptionError';
}

/** Something we depend on is out of reach or overloaded: retry, or answer in part. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
}

/** The work would pass a stated limit; the message has the limit and what was measured. */
export class LimitError extends Error {
  override readonly name = 'LimitError';
}

/** The named thing does not exist, where its absence is a failure of the operation. */
export class NotFoundError extends Error {
  override readonly name = 'NotFoundError';
}

/** Checks what our own code guarantees. Never for bytes from outside: those are a `CorruptionError`. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${message}`);
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Whether `thrown` is the way an aborted signal makes itself known. */
export function isAbort(thrown: unknown): boolean {
  return (
    thrown instanceof Error && (thrown.name === 'AbortError' || thrown.name === 'TimeoutError')
  );
}
