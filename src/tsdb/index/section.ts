import { ByteReader } from '#/lib/byte-reader.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { CorruptionError } from '#/lib/errors.ts';

/**
 * The contents of a section, checked: symbols, postings lists and the postings offset table are all
 *
 *     len <4 bytes> | contents <len bytes> | crc32c of the contents <4 bytes>
 *
 * `bytes` begins with the section and may go on behind it; `base` is its place in the file.
 * @throws CorruptionError if the section runs past `bytes` or its checksum differs.
 */
export function readSection(bytes: Uint8Array, what: string, base: number): Uint8Array {
  const reader = new ByteReader(bytes, 0, what, base);
  const contents = reader.bytes(reader.uint32());
  checkCrc(contents, reader.uint32(), what, base);
  return contents;
}

/** @throws CorruptionError that names the section if the checksum of `contents` is not `want`. */
export function checkCrc(contents: Uint8Array, want: number, what: string, base: number): void {
  const got = crc32c(contents);
  if (got === want) return;
  throw new CorruptionError(
    `${what} at offset ${base}: crc32c is 0x${got.toString(16)}, the file says 0x${want.toString(16)}`,
  );
}
