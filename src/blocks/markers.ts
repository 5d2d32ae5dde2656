import type { Clock } from '#/lib/clock.ts';
import { BadInputError, CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import { goJson } from '#/lib/go-json.ts';
import { ConditionError } from '#/objstore/bucket.ts';
import type { Bucket } from '#/objstore/bucket.ts';

/** A file beside a block that says something about it. Format: pkg/block/metadata/markers.go in Thanos. */
export interface Mark {
  readonly id: string;
  /** When it was set; files keep whole seconds. */
  readonly timeMs: number;
  /** For people; `''` when there is nothing to say. */
  readonly details: string;
  /** Why, as a constant; `''` for a deletion mark, which has none. */
  readonly reason: string;
}

export type MarkKind = keyof typeof MARKS;

const MARKS = {
  deletion: { filename: 'deletion-mark.json', timeKey: 'deletion_time' },
  'no-compact': { filename: 'no-compact-mark.json', timeKey: 'no_compact_time' },
  'no-downsample': { filename: 'no-downsample-mark.json', timeKey: 'no_downsample_time' },
} as const;

export const MARK_KINDS = Object.keys(MARKS) as readonly MarkKind[];

export const MANUAL_REASON = 'manual';
export const noCompactReasons = [
  MANUAL_REASON,
  'index-size-exceeding',
  'block-index-out-of-order-chunk',
  'downsample-vertical-compaction',
] as const;

const VERSION = 1;

/** The object that holds a mark: `<id>/deletion-mark.json`. */
export function markName(id: string, kind: MarkKind): string {
  return `${id}/${MARKS[kind].filename}`;
}

/** Which kind of mark an object is, by its name; `undefined` if none. */
export function markKindOf(name: string): MarkKind | undefined {
  const [, file, ...rest] = name.split('/');
  if (rest.length > 0) return undefined;
  return MARK_KINDS.find((kind) => MARKS[kind].filename === file);
}

/**
 * The mark of a block; `undefined` if it has none.
 * @throws CorruptionError if the file is no JSON, as after an upload that broke off: it counts as
 * no mark. Anything else that is thrown, a version other than 1 included, leaves the matter open.
 */
export async function readMark(
  bucket: Bucket,
  id: string,
  kind: MarkKind,
  signal?: AbortSignal,
): Promise<Mark | undefined> {
  const name = markName(id, kind);
  let bytes: Uint8Array;
  try {
    bytes = await bucket.read(name, { signal });
  } catch (thrown) {
    if (thrown instanceof NotFoundError) return undefined;
    throw thrown;
  }
  return parseMark(new TextDecoder().decode(bytes), name, kind);
}

export function parseMark(text: string, name: string, kind: MarkKind): Mark {
  const fields = parseObject(text, name);
  if (fields['version'] !== VERSION) {
    throw new BadInputError(
      `${name}: version is ${String(fields['version'])}; this program reads version ${VERSION} only`,
    );
  }
  const { timeKey } = MARKS[kind];
  const time = fields[timeKey] ?? 0;
  if (typeof time !== 'number') {
    throw new CorruptionError(`${name}: "${timeKey}" is no number`);
  }
  return {
    id: textOf(fields['id']),
    timeMs: time * 1000,
    details: textOf(fields['details']),
    reason: textOf(fields['reason']),
  };
}

/** The text of a mark's file, as Go's `json.Marshal` writes it. */
export function printMark(kind: MarkKind, { id, timeMs, details, reason }: Mark): string {
  return goJson({
    id,
    version: VERSION,
    details: details === '' ? undefined : details,
    [MARKS[kind].timeKey]: Math.floor(timeMs / 1000),
    reason: kind === 'deletion' ? undefined : reason,
  });
}

interface MarkRequest {
  readonly kind: MarkKind;
  readonly details?: string;
  /** Default `manual`; a deletion mark has none. */
  readonly reason?: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly signal?: AbortSignal;
}

/** Marks a block, unless it has such a mark already; says whether this call did it. */
export async function markBlock(
  bucket: Bucket,
  id: string,
  { kind, details = '', reason = MANUAL_REASON, clock, signal }: MarkRequest,
): Promise<boolean> {
  const name = markName(id, kind);
  if ((await bucket.attributes(name, { signal })) !== undefined) return false;
  const mark = { id, timeMs: clock.now(), details, reason: kind === 'deletion' ? '' : reason };
  try {
    await bucket.upload(name, new TextEncoder().encode(printMark(kind, mark)), {
      ifAbsent: true,
      signal,
    });
    return true;
  } catch (thrown) {
    if (thrown instanceof ConditionError) return false;
    throw thrown;
  }
}

function parseObject(text: string, name: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw new CorruptionError(`${name}: not valid JSON: ${messageOf(thrown)}`, { cause: thrown });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CorruptionError(`${name}: not a JSON object`);
  }
  return value as Record<string, unknown>;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
