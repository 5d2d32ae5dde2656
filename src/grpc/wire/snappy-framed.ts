import { compressSync, uncompressSync } from 'snappy';
import { crc32c } from '#/lib/crc32c.ts';
import { CorruptionError, LimitError } from '#/lib/errors.ts';

const STREAM_START = Buffer.from([0xff, 6, 0, 0, ...Buffer.from('sNaPpY')]);
const COMPRESSED = 0x00;
const UNCOMPRESSED = 0x01;
const FIRST_SKIPPABLE = 0x80;
const MAX_BLOCK_BYTES = 65_536;
const HEADER_BYTES = 4;
const CHECKSUM_BYTES = 4;

/** Shrinking by less than an eighth is not worth the decoder's time. */
const WORTH_IT = 7 / 8;

/**
 * Packs bytes as a snappy framed stream, which is a sequence of chunks
 *
 *     type <1 byte> | length <3 bytes, little-endian> | body <length bytes>
 *
 * that opens with `ff 06 00 00 sNaPpY`. The body of a data chunk is the masked CRC-32C of at most
 * 64 KiB of plain bytes and these bytes, as a snappy block (type 0) or as they are (type 1).
 * Format: framing_format.txt of google/snappy.
 */
export function compressFramed(plain: Uint8Array): Buffer {
  const parts: Uint8Array[] = [STREAM_START];
  for (let at = 0; at < plain.length; at += MAX_BLOCK_BYTES) {
    const block = plain.subarray(at, at + MAX_BLOCK_BYTES);
    const packed = compressSync(Buffer.from(block.buffer, block.byteOffset, block.length), {
      copyOutputData: true,
    });
    const worthIt = packed.length < block.length * WORTH_IT;
    const body = worthIt ? packed : block;
    const header = Buffer.allocUnsafe(HEADER_BYTES + CHECKSUM_BYTES);
    header.writeUInt8(worthIt ? COMPRESSED : UNCOMPRESSED, 0);
    header.writeUIntLE(CHECKSUM_BYTES + body.length, 1, 3);
    header.writeUInt32LE(masked(crc32c(block)), HEADER_BYTES);
    parts.push(header, body);
  }
  return Buffer.concat(parts);
}

/**
 * @throws CorruptionError if the stream is damaged.
 * @throws LimitError if it holds more than `limitBytes`.
 */
export function uncompressFramed(stream: Uint8Array, limitBytes: number): Buffer {
  const bytes = Buffer.from(stream.buffer, stream.byteOffset, stream.length);
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < HEADER_BYTES) throw damaged(at, 'a chunk header', 'the end');
    const type = bytes[at]!;
    const start = at + HEADER_BYTES;
    const end = start + bytes.readUIntLE(at + 1, 3);
    if (end > bytes.length) throw damaged(at, `a chunk up to ${end}`, `${bytes.length} bytes`);
    if (at === 0 && !bytes.subarray(0, end).equals(STREAM_START)) {
      throw damaged(0, 'the stream identifier', `chunk type ${type}`);
    }
    if (type <= UNCOMPRESSED) {
      const block = dataBlock(bytes.subarray(start, end), type, at);
      sizeBytes += block.length;
      if (sizeBytes > limitBytes) {
        throw new LimitError(`message is larger than ${limitBytes} bytes when decompressed`);
      }
      parts.push(block);
    } else if (type < FIRST_SKIPPABLE) {
      throw damaged(at, 'a known chunk type', `type ${type}`);
    }
    at = end;
  }
  return Buffer.concat(parts, sizeBytes);
}

function dataBlock(body: Buffer, type: number, at: number): Buffer {
  if (body.length < CHECKSUM_BYTES) throw damaged(at, 'a checksum', `${body.length} bytes`);
  const packed = body.subarray(CHECKSUM_BYTES);
  const block = type === COMPRESSED ? uncompressBlock(packed, at) : packed;
  const want = body.readUInt32LE(0);
  const got = masked(crc32c(block));
  if (got !== want) throw damaged(at, `checksum ${want}`, String(got));
  return block;
}

/** The declared length is checked before anything of that size is allocated. */
function uncompressBlock(packed: Buffer, at: number): Buffer {
  const length = declaredLength(packed);
  if (length > MAX_BLOCK_BYTES) throw damaged(at, 'a block of up to 64 KiB', `${length} bytes`);
  try {
    return uncompressSync(packed, { asBuffer: true, copyOutputData: true }) as Buffer;
  } catch (cause) {
    throw new CorruptionError(`snappy stream at offset ${at}: found a damaged block`, { cause });
  }
}

/** The uvarint that opens a snappy block. */
function declaredLength(packed: Buffer): number {
  let length = 0;
  for (let i = 0; i < Math.min(5, packed.length); i++) {
    length += (packed[i]! & 0x7f) * 2 ** (7 * i);
    if (packed[i]! < 0x80) return length;
  }
  return Number.POSITIVE_INFINITY;
}

/** Checksums of data that may hold checksums are rotated and shifted, as the format has it. */
function masked(checksum: number): number {
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
}

function damaged(at: number, want: string, got: string): CorruptionError {
  return new CorruptionError(`snappy stream at offset ${at}: found ${got}, expected ${want}`);
}
