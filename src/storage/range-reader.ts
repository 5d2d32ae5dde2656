import type { Disk } from '#/lib/disk.ts';
import { NotFoundError } from '#/lib/errors.ts';

/** Immutable bytes that are read piece by piece: a file, an object in a bucket, memory. */
export interface RangeReader {
  readonly sizeBytes: number;
  /**
   * Exactly `length` bytes from `offset`, or fewer where the bytes end. They may be put into `into`,
   * which has room for them, and are then a view of it.
   */
  read(
    offset: number,
    length: number,
    signal?: AbortSignal,
    into?: Uint8Array,
  ): Promise<Uint8Array>;
}

/** Bytes in memory. What is read are views. */
export function memoryRangeReader(bytes: Uint8Array): RangeReader {
  return {
    sizeBytes: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}

/**
 * Files of up to `wholeBytes` are read at once, which for a small one costs less than reading its
 * parts.
 * @throws NotFoundError if there is no such file.
 */
export async function fileRangeReader(
  disk: Disk,
  path: string,
  wholeBytes = 0,
): Promise<RangeReader> {
  const stat = await disk.stat(path);
  if (stat?.kind !== 'file') throw new NotFoundError(`${path}: no such file`);
  if (stat.sizeBytes <= wholeBytes) return memoryRangeReader(await disk.read(path));
  return {
    sizeBytes: stat.sizeBytes,
    read: (offset, length, _signal, into) => disk.readRange(path, offset, length, into),
  };
}
