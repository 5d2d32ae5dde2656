import { createHash } from 'node:crypto';
import type { Clock } from '#/lib/clock.ts';
import { BadInputError, CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import type { Random } from '#/lib/random.ts';
import { isUlid, newUlid } from '#/lib/ulid.ts';
import { printMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { ConditionError } from '#/objstore/bucket.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { parseMatchers } from '#/promql/parser.ts';
import { NewerFormatError } from './bucket-index.ts';

/** Where the requests to delete series are, an object each; Thanos looks at nothing here. */
export const DELETIONS_DIRECTORY = 'hindsight/series-deletions';

/** What somebody asked to be deleted. It never changes; it is there or removed. */
export interface DeletionRequest {
  /** ULID, also the name of the object. */
  readonly id: string;
  /** The series of each are to go; as users see them, external labels included. */
  readonly selectors: readonly string[];
  /** Closed range in milliseconds; `mint` is -Infinity for all of the past. */
  readonly mint: number;
  readonly maxt: number;
  /** By the clock of who asked. */
  readonly createdMs: number;
  /** For people; `''` when nothing was said. */
  readonly author: string;
  readonly reason: string;
  /** What the selectors say, in their order. */
  readonly matchers: readonly (readonly Matcher[])[];
}

/** What a new request says; `createdMs` is now. */
export interface NewDeletion {
  readonly selectors: readonly string[];
  /** Default: all of the past. */
  readonly mint?: number | undefined;
  /** No later than now, which is the default: a series goes on after it was deleted. */
  readonly maxt?: number | undefined;
  readonly author?: string;
  readonly reason?: string;
}

interface DeletionEffects {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
}

const FORMAT = 'hindsight-series-deletion';
const VERSION = 1;

/**
 * Checks what somebody asks for, and gives it an id; nothing is written.
 * @throws BadInputError that names the selector or the times.
 */
export function newDeletion(
  { selectors, mint, maxt, author = '', reason = '' }: NewDeletion,
  { clock, random }: DeletionEffects,
): DeletionRequest {
  const createdMs = clock.now();
  const from = mint ?? Number.NEGATIVE_INFINITY;
  const to = Math.min(maxt ?? createdMs, createdMs);
  if (from > to) {
    throw new BadInputError(
      `nothing is between ${describeTime(from)} and ${describeTime(to)}: the start must not be after the end, nor after now`,
    );
  }
  if (selectors.length === 0) throw new BadInputError('no selector of series to delete');
  const matchers = selectors.map(parseSelector);
  return {
    id: newUlid(createdMs, random),
    selectors: matchers.map(printSelector),
    mint: from,
    maxt: to,
    createdMs,
    author,
    reason,
    matchers,
  };
}

/** Writes the request into the bucket; from then on it is in force. */
export async function putDeletion(
  bucket: Bucket,
  request: DeletionRequest,
  signal?: AbortSignal,
): Promise<void> {
  const name = deletionName(request.id);
  const bytes = encodeDeletion(request);
  try {
    await bucket.upload(name, bytes, { ifAbsent: true, signal });
  } catch (thrown) {
    if (!(thrown instanceof ConditionError)) throw thrown;
    // A write that is repeated because its reply was lost finds itself.
    const found = await bucket.read(name, { fresh: true, signal });
    if (Buffer.compare(found, bytes) !== 0) throw thrown;
  }
}

/**
 * Takes a request back, whatever is in its object. What was applied to a block already stays gone.
 * @throws NotFoundError if there is none with that id, BadInputError if the id is none.
 */
export async function cancelDeletion(
  bucket: Bucket,
  id: string,
  signal?: AbortSignal,
): Promise<void> {
  if (!isUlid(id)) {
    throw new BadInputError(`"${id}" is no id of a deletion; expected a ULID of 26 characters`);
  }
  const name = deletionName(id);
  if ((await bucket.attributes(name, { signal })) === undefined) {
    throw new NotFoundError(`there is no deletion ${id} in ${bucket.name}`);
  }
  await bucket.remove(name, { reason: 'deletion', signal });
}

export function deletionName(id: string): string {
  return `${DELETIONS_DIRECTORY}/${id}`;
}

/**
 * The bytes of a request:
 *
 *     "hindsight-series-deletion 1 " | sha256 of the second line <64 hex digits> | "\n" | JSON | "\n"
 *
 * with the JSON `{"id":"01…","selectors":["{…}"],"mint":0,"maxt":1700000000000,"createdMs":1700000000000,
 * "author":"…","reason":"…"}`; no `mint` means all of the past.
 */
export function encodeDeletion(request: DeletionRequest): Uint8Array {
  const { id, selectors, mint, maxt, createdMs, author, reason } = request;
  const from = mint === Number.NEGATIVE_INFINITY ? {} : { mint };
  const fields = { id, selectors, ...from, maxt, createdMs, author, reason };
  const line = `${JSON.stringify(fields)}\n`;
  return new TextEncoder().encode(`${FORMAT} ${VERSION} ${sha256(line)}\n${line}`);
}

/**
 * Reads what `encodeDeletion` wrote. What goes wrong names the object and says what to do.
 * @throws CorruptionError, or NewerFormatError
 */
export function decodeDeletion(bytes: Uint8Array, id: string, bucket: string): DeletionRequest {
  const where = `${bucket}/${deletionName(id)}`;
  try {
    return decode(new TextDecoder('utf-8', { fatal: true }).decode(bytes), id);
  } catch (thrown) {
    if (thrown instanceof NewerFormatError) {
      throw new NewerFormatError(
        `${where}: ${thrown.message}; upgrade, or take it back with ${cancelCommand(id)}`,
        { cause: thrown },
      );
    }
    throw new CorruptionError(
      `${where}: ${messageOf(thrown)}; take it back with ${cancelCommand(id)} and ask for it again`,
      { cause: thrown },
    );
  }
}

/** For people: what to type to take a request back. */
export function cancelCommand(id: string): string {
  return `hindsight tools bucket delete-series --cancel=${id}`;
}

function decode(text: string, id: string): DeletionRequest {
  const [format, version, sum] = text.slice(0, text.indexOf('\n')).split(' ');
  if (format !== FORMAT) throw new BadInputError(`does not begin with "${FORMAT}"`);
  if (version !== String(VERSION)) {
    throw new NewerFormatError(`version is ${version}; this program reads version ${VERSION} only`);
  }
  const line = text.slice(text.indexOf('\n') + 1);
  const found = sha256(line);
  if (found !== sum) throw new BadInputError(`SHA-256 is ${found}, the object says ${sum}`);
  const fields = JSON.parse(line) as Partial<DeletionRequest>;
  const { selectors = [], mint = Number.NEGATIVE_INFINITY, maxt, createdMs } = fields;
  if (fields.id !== id) throw new BadInputError(`it is deletion ${fields.id} by its content`);
  if (selectors.length === 0 || typeof maxt !== 'number' || typeof createdMs !== 'number') {
    throw new BadInputError('it has no selectors, no "maxt" or no "createdMs"');
  }
  const { author = '', reason = '' } = fields;
  const matchers = selectors.map(parseSelector);
  return { id, selectors, mint, maxt, createdMs, author, reason, matchers };
}

/** @throws BadInputError; a selector of everything is a slip as a rule, and must be spelt out. */
function parseSelector(text: string): readonly Matcher[] {
  const matchers = parseMatchers(text);
  if (matchers.some((matcher) => !matcher.matches(''))) return matchers;
  throw new BadInputError(
    `${text} must contain at least one non-empty matcher; to delete all series: {__name__=~".+"}`,
  );
}

function printSelector(matchers: readonly Matcher[]): string {
  return `{${matchers.map(printMatcher).join(',')}}`;
}

function describeTime(ms: number): string {
  if (ms === Number.NEGATIVE_INFINITY) return 'the beginning';
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
