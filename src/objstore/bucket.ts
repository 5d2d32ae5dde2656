import type { Disk } from '#/lib/disk.ts';
import type { Reason } from './reason.ts';
import type { RequestTally } from './request-tally.ts';

/** What a listing says about one object, or about a common prefix (ending in `/`) when not recursive. */
export interface ListEntry {
  readonly name: string;
  /** Absent for a common prefix and where the provider's listing does not say. */
  readonly sizeBytes?: number;
  readonly modifiedMs?: number;
}

/** A request to a provider, told apart as their price lists do. */
export const REQUEST_KINDS = ['list', 'get', 'head', 'put', 'delete'] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

/** What every operation takes. */
export interface OperationOptions {
  /** Default `other`. */
  readonly reason?: Reason | undefined;
  /** Where the operation is counted besides the metrics: that of the query that it serves. */
  readonly tally?: RequestTally | undefined;
  /** Called for every request that goes to the provider, retries included; set by who counts them. */
  readonly onRequest?: ((kind: RequestKind) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** An `AbortSignal`, which has a `reason` too, is not to be taken for options. */
  readonly throwIfAborted?: never;
}

export interface ListOptions extends OperationOptions {
  /** All objects below the prefix instead of one level. Default false. */
  readonly recursive?: boolean;
}

export interface ObjectAttributes {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** The provider's mark of this very content, to be given back to `upload` as `ifMatch`. */
  readonly version: string;
  /** Of the content, in hex, where the provider tells one that is sure to be it. */
  readonly md5?: string;
}

/**
 * A local file that stands for an object's content, and that nobody ever writes to: a bucket that is a
 * directory on the same disk may make it and the object two names of the same bytes.
 */
export interface LinkedFile {
  readonly disk: Disk;
  readonly path: string;
}

export interface ReadOptions extends OperationOptions {
  /** First byte; default 0. */
  readonly offset?: number;
  /** Number of bytes; to the end when absent. Shorter only at the end of the object. */
  readonly length?: number;
  /** Past every cache: what was read before is known to be old or wrong. Default false. */
  readonly fresh?: boolean;
  /**
   * Of `readStream` of a whole object: where its content goes. Nothing is there yet; if something is
   * at the end, it is the object, and there were no pieces.
   */
  readonly link?: LinkedFile | undefined;
}

export interface UploadOptions extends OperationOptions {
  /** Only create: fails with `ConditionError` if the object exists. */
  readonly ifAbsent?: boolean;
  /** Only replace: fails with `ConditionError` unless the object still has this version. */
  readonly ifMatch?: string;
  /** Where the content comes from; then the content given need not be asked for. */
  readonly link?: LinkedFile | undefined;
}

/** A conditional write found another state than the caller expected; nothing was written. */
export class ConditionError extends Error {
  override readonly name = 'ConditionError';
}

/**
 * Object storage as the components see it. Names use `/` and never begin with one. An object
 * appears whole or not at all. Every operation throws `UnavailableError` when the provider is out
 * of reach, overloaded or refuses the credentials.
 */
export interface Bucket extends AsyncDisposable {
  /** For messages: `s3://name/prefix`, `file:///data`. */
  readonly name: string;
  /** Objects below `prefix` (`''` or ending in `/`) in byte order of their names, page by page as they arrive. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ListEntry>;
  /** @throws NotFoundError if the object does not exist. */
  read(name: string, options?: ReadOptions): Promise<Uint8Array>;
  /** As `read`, piece by piece, for objects that should not be in memory as a whole. */
  readStream(name: string, options?: ReadOptions): AsyncIterable<Uint8Array>;
  /** `undefined` if the object does not exist. */
  attributes(name: string, options?: OperationOptions): Promise<ObjectAttributes | undefined>;
  /**
   * Creates or replaces the object; a stream of unknown length goes up in parts.
   * @throws ConditionError if a condition of `options` does not hold.
   */
  upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options?: UploadOptions,
  ): Promise<void>;
  /** A missing object is fine. */
  remove(name: string, options?: OperationOptions): Promise<void>;
}
