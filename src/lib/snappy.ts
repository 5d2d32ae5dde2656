import { compressSync, uncompressSync } from 'snappy';
import { CorruptionError, LimitError } from './errors.ts';

/** One snappy block, without the framing of the stream format. */
export function compressBlock(bytes: Uint8Array): Uint8Array {
  return compressSync(bytes, owned);
}

/**
 * Undoes `compressBlock`. The declared length is looked at first, so a few bytes from outside cannot
 * make us allocate gigabytes.
 * @throws CorruptionError, and LimitError if the block declares more than `limitBytes`.
 */
export function uncompressBlock(block: Uint8Array, limitBytes: number): Uint8Array {
  const length = declaredLength(block);
  if (length > limitBytes) {
    throw new LimitError(
      `a snappy block declares ${length} bytes, over the limit of ${limitBytes}`,
    );
  }
  try {
    return uncompressSync(block, { ...owned, asBuffer: true }) as Buffer;
  } catch (cause) {
    throw new CorruptionError(`a snappy block of ${block.length} bytes is damaged`, { cause });
  }
}

/** Memory that V8 owns; handing over the library's own costs four times as much in page faults. */
const owned = { copyOutputData: true };

/** The uvarint that opens a block. */
function declaredLength(block: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < Math.min(5, block.length); i++) {
    length += (block[i]! & 0x7f) * 2 ** (7 * i);
    if (block[i]! < 0x80) return length;
  }
  throw new CorruptionError(`a snappy block of ${block.length} bytes does not declare its length`);
}
