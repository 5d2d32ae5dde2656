import { createHash } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { BadInputError, CorruptionError, messageOf } from '#/lib/errors.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BlockLineReader, BlockLineWriter } from './bucket-index/block-lines.ts';
import type { BlockLine } from './bucket-index/block-lines.ts';
import type { Mark, MarkKind } from './markers.ts';

/** Where the index of a bucket is; Thanos looks at nothing here. */
export const BUCKET_INDEX_NAME = 'hindsight/bucket-index';

/** What the whole bucket held when it was listed, in one object. */
export interface BucketIndex {
  /** One more than that of the index that this one took the place of. */
  readonly generation: number;
  /** When the listing began, by the clock of the one who made it. */
  readonly listedMs: number;
  /**
   * Whole blocks by ULID. One that is not among them may be whole all the same: it came later, or
   * something about it could not be made out, and everyone has to look for himself.
   */
  readonly blocks: ReadonlyMap<string, IndexedBlock>;
  /** Blocks without a `meta.json`. */
  readonly partial: ReadonlySet<string>;
}

export interface IndexedBlock {
  /** Without its files, its parents and other things that only compaction needs. */
  readonly meta: BlockMeta;
  /** When `meta.json` was written; `undefined` where listings do not say. */
  readonly modifiedMs: number | undefined;
  /** All marks that it has. */
  readonly marks: Readonly<Partial<Record<MarkKind, IndexedMark>>>;
}

export interface IndexedMark extends Mark {
  /** When its object was written, as of a block. */
  readonly modifiedMs?: number;
}

const FORMAT = 'hindsight-bucket-index';
const VERSION = 1;
const LINE_FEED = 0x0a;

/** The length of the first line, by which two indexes can be told apart. */
export const HEAD_BYTES = `${FORMAT} ${VERSION} \n`.length + 64;

/** The bytes are of a later version, which only a later release reads. */
export class NewerFormatError extends Error {
  override readonly name = 'NewerFormatError';
}

/**
 * The bytes of an index:
 *
 *     "hindsight-bucket-index 1 " | sha256 of the rest of the object <64 hex digits> | "\n"
 *     parts, each: length of the frame <4 bytes, big-endian> | zstd frame
 *
 * The frames hold whole lines of JSON:
 *
 *     {"generation":7,"listedMs":1700000000000,"blocks":2,"partial":["01…"]}
 *     a line for each block (see bucket-index/block-lines.ts)
 *
 * 100,000 blocks stay one object: it is never seen half old and half new.
 */
export async function encodeBucketIndex(index: BucketIndex): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const hash = createHash('sha256');
  for (const text of textsOf(index)) {
    if (parts.length > 0) await nextTurn();
    const frame = zstdCompressSync(text);
    const part = Buffer.alloc(LENGTH_BYTES + frame.length);
    part.writeUInt32BE(frame.length);
    part.set(frame, LENGTH_BYTES);
    hash.update(part);
    parts.push(part);
  }
  const head = new TextEncoder().encode(`${FORMAT} ${VERSION} ${hash.digest('hex')}\n`);
  return Buffer.concat([head, ...parts]);
}

/**
 * Reads what `encodeBucketIndex` wrote; `where` names the object in messages. Blocks that are as in
 * `known` are taken from there, so that two indexes of one bucket share them.
 * @throws CorruptionError, or NewerFormatError
 */
export async function decodeBucketIndex(
  bytes: Uint8Array,
  where: string,
  known?: BucketIndex,
): Promise<BucketIndex> {
  const body = checkedBody(bytes, where);
  try {
    return await decodeBody(body, known);
  } catch (thrown) {
    throw new CorruptionError(`${where}: the checksum is right, but ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** The lines, as many together as make a part. */
function* textsOf({ generation, listedMs, blocks, partial }: BucketIndex): Generator<string> {
  const head = { generation, listedMs, blocks: blocks.size, partial: [...partial] };
  const writer = new BlockLineWriter();
  let text = JSON.stringify(head);
  for (const block of blocks.values()) {
    if (text.length >= PART_LENGTH) {
      yield text;
      text = '';
    }
    text += `${text === '' ? '' : '\n'}${JSON.stringify(writer.line(block))}`;
  }
  yield text;
}

/** Characters of JSON that are written or read in one turn of the event loop. */
const PART_LENGTH = 256 * 1024;
const LENGTH_BYTES = 4;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What stands behind the first line, which must have its checksum. */
function checkedBody(bytes: Uint8Array, where: string): Uint8Array {
  const end = bytes.indexOf(LINE_FEED);
  const [format, version, sha256] = new TextDecoder()
    .decode(bytes.subarray(0, Math.max(0, end)))
    .split(' ');
  if (format !== FORMAT) throw new CorruptionError(`${where}: does not begin with "${FORMAT}"`);
  if (version !== String(VERSION)) {
    throw new NewerFormatError(
      `${where}: version is ${version}; this program reads version ${VERSION} only`,
    );
  }
  const body = bytes.subarray(end + 1);
  const found = createHash('sha256').update(body).digest('hex');
  if (found === sha256) return body;
  throw new CorruptionError(`${where}: SHA-256 is ${found}, the object says ${sha256}`);
}

async function decodeBody(body: Uint8Array, known: BucketIndex | undefined): Promise<BucketIndex> {
  const blocks = new Map<string, IndexedBlock>();
  const reader = new BlockLineReader(known?.blocks);
  let head: Head | undefined;
  for (const frame of framesOf(body)) {
    if (head !== undefined) await nextTurn();
    const lines = new TextDecoder().decode(zstdDecompressSync(frame)).split('\n');
    head ??= JSON.parse(lines.shift()!) as Head;
    for (const line of lines) {
      const block = reader.block(JSON.parse(line) as BlockLine);
      blocks.set(block.meta.ulid, block);
    }
  }
  if (blocks.size !== head?.blocks) {
    throw new BadInputError(`it has ${blocks.size} blocks instead of ${head?.blocks ?? 'some'}`);
  }
  const { generation, listedMs, partial } = head;
  return { generation, listedMs, blocks, partial: new Set(partial) };
}

/** The first line of JSON. */
interface Head {
  readonly generation: number;
  readonly listedMs: number;
  readonly blocks: number;
  readonly partial: readonly string[];
}

function* framesOf(body: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let offset = 0; offset < body.length;) {
    const start = offset + LENGTH_BYTES;
    offset = start + view.getUint32(offset);
    yield body.subarray(start, offset);
  }
}
