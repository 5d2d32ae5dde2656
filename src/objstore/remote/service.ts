import type { Readable } from 'node:stream';
import type { ListEntry, ObjectAttributes } from '../bucket.ts';
import type { History } from './attempts.ts';
import type { Checksum } from './checksum.ts';
import type { Failure, FailureWords } from './failure.ts';

/** What a failure means for the object that was asked for, or for its upload in parts. */
export type Meaning = 'missing' | 'past the end' | 'condition failed' | 'upload gone' | 'other';

export interface ServiceWords extends FailureWords {
  meaningOf(failure: Failure): Meaning;
}

export interface Condition {
  readonly ifAbsent?: boolean;
  /** The version that the object must still have. */
  readonly ifMatch?: string;
}

export interface PageRequest {
  readonly prefix: string;
  readonly recursive: boolean;
  /** Where the page before ended; absent for the first. */
  readonly token: string | undefined;
}

export interface Page {
  /** In any order within the page. */
  readonly entries: readonly ListEntry[];
  readonly next: string | undefined;
}

/** The bytes `[start, end)`, of this version alone if one is given. */
export interface Span {
  readonly start: number;
  readonly end: number | undefined;
  readonly version: string | undefined;
}

/** An answer whose contents are still to come; who gets it reads or destroys `stream`. */
export interface Body {
  readonly version: string;
  readonly stream: Readable;
  /** The header Content-Length: of this part. */
  readonly sizeBytes: number | undefined;
  /** The header Content-Range. */
  readonly range: string | undefined;
  /** Of the whole object. */
  readonly checksum?: Checksum | undefined;
}

export interface Part {
  /** From 1. */
  readonly number: number;
  /** Of its first byte in the object. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

/** An upload in parts that has begun. The object appears, or changes, with `finish`. */
export interface PartsUpload {
  send(part: Part, history: History, signal: AbortSignal): Promise<void>;
  finish(signal: AbortSignal): Promise<void>;
  /** Whether an earlier `finish`, whose answer was lost, made the object. */
  isFinished(signal: AbortSignal): Promise<boolean>;
  abort(signal: AbortSignal): Promise<void>;
}

/**
 * One provider's operations on one bucket, each a single attempt that throws what the provider's
 * library throws; `words` tells what that means. `RemoteBucket` makes a bucket of it.
 */
export interface ObjectService extends AsyncDisposable {
  readonly name: string;
  /** The `bucket` label of metrics, as Thanos names buckets. */
  readonly label: string;
  readonly words: ServiceWords;
  /** The size of a part, and the largest content that goes up as a whole. */
  readonly partBytes: number;
  /** The size of a part of a stream, whose length nobody knows. Default `partBytes`. */
  readonly streamPartBytes?: number;
  readonly maxParts: number;
  readonly parallelParts: number;
  listPage(request: PageRequest, signal: AbortSignal): Promise<Page>;
  get(name: string, span: Span, signal: AbortSignal): Promise<Body>;
  head(name: string, signal: AbortSignal): Promise<ObjectAttributes>;
  put(name: string, bytes: Uint8Array, condition: Condition, signal: AbortSignal): Promise<void>;
  startParts(name: string, condition: Condition, signal: AbortSignal): Promise<PartsUpload>;
  remove(name: string, signal: AbortSignal): Promise<void>;
}
