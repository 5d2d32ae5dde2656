import type { Disk } from '#/lib/disk.ts';
import { CorruptionError, NotFoundError } from '#/lib/errors.ts';
import { fileRangeReader } from '#/storage/range-reader.ts';
import type { RangeReader } from '#/storage/range-reader.ts';
import {
  checkSegmentHeader,
  placeOf,
  readChunkRecord,
  recordSize,
  SEGMENT_HEADER_BYTES,
  segmentFileName,
} from '../chunk-segment.ts';
import type { ChunkPlace, ChunkRecord } from '../chunk-segment.ts';

/** Chunks nearer to each other than this are read at once. */
const GAP_BYTES = 64 * 1024;
/** The most that is read at once. */
const READ_BYTES = 8 * 1024 * 1024;
/** Room for the last chunk of a read; a longer one costs another. */
const CHUNK_SIZE_GUESS = 16 * 1024;

/** A wanted chunk: its place, and its place in the answer. */
interface Wanted extends ChunkPlace {
  readonly order: number;
}

/** The segment files of a block, opened as they are needed. */
export class ChunkFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #segments = new Map<number, Promise<RangeReader>>();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** The records at `refs`, in their order. Data are views into what was read. */
  async read(refs: readonly number[], signal?: AbortSignal): Promise<ChunkRecord[]> {
    const records: ChunkRecord[] = [];
    const wanted = refs.map((ref, order): Wanted => {
      const { segment, offset } = placeOf(ref);
      return { segment, offset, order };
    });
    const isSorted = refs.every((ref, i) => i === 0 || ref >= refs[i - 1]!);
    if (!isSorted) wanted.sort((a, b) => a.segment - b.segment || a.offset - b.offset);
    for (const run of runsOf(wanted)) await this.#readRun(run, records, signal);
    return records;
  }

  async #readRun(
    run: readonly Wanted[],
    records: ChunkRecord[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { segment, offset: start } = run[0]!;
    const file = await this.open(segment);
    const length = run.at(-1)!.offset - start + CHUNK_SIZE_GUESS;
    const bytes = await file.read(start, length, signal);
    const where = this.pathOf(segment);
    for (const { offset, order } of run) {
      const size = recordSize(bytes, offset - start);
      records[order] =
        size !== undefined && offset - start + size <= bytes.length
          ? readChunkRecord(bytes, offset - start, where, start)
          : await readLongRecord(file, { offset, size, where }, signal);
    }
  }

  pathOf(segment: number): string {
    return `${this.#directory}/${segmentFileName(segment)}`;
  }

  /** @throws CorruptionError if there is no such file, or it is no segment. */
  open(segment: number): Promise<RangeReader> {
    let file = this.#segments.get(segment);
    if (file === undefined) {
      file = this.#openFile(segment);
      this.#segments.set(segment, file);
    }
    return file;
  }

  async #openFile(segment: number): Promise<RangeReader> {
    const path = this.pathOf(segment);
    try {
      const file = await fileRangeReader(this.#disk, path);
      checkSegmentHeader(await file.read(0, SEGMENT_HEADER_BYTES), path);
      return file;
    } catch (thrown) {
      this.#segments.delete(segment);
      if (!(thrown instanceof NotFoundError)) throw thrown;
      throw new CorruptionError(`${path}: the index refers to it, but it does not exist`);
    }
  }
}

/** For a record that passes what was read: with its own length, and so to the end of the file at most. */
async function readLongRecord(
  file: RangeReader,
  record: { readonly offset: number; readonly size: number | undefined; readonly where: string },
  signal: AbortSignal | undefined,
): Promise<ChunkRecord> {
  const { offset, where } = record;
  const length = Math.min(record.size ?? CHUNK_SIZE_GUESS, Math.max(0, file.sizeBytes - offset));
  return readChunkRecord(await file.read(offset, length, signal), 0, where, offset);
}

/** Cuts places into runs within one segment that are worth one read each. */
function runsOf(sorted: readonly Wanted[]): Wanted[][] {
  const runs: Wanted[][] = [];
  for (const wanted of sorted) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    const joins =
      run !== undefined &&
      last !== undefined &&
      wanted.segment === last.segment &&
      wanted.offset - last.offset <= GAP_BYTES &&
      wanted.offset - run[0]!.offset <= READ_BYTES;
    if (joins) run.push(wanted);
    else runs.push([wanted]);
  }
  return runs;
}
