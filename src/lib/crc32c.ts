/** Reflected Castagnoli polynomial. */
const POLYNOMIAL = 0x82f63b78;

/** Below this many bytes the call into native code costs more than it saves. */
const NATIVE_FROM_BYTES = 300;

/** The native addon, where the platform has it. */
const native = await import('@node-rs/crc32').then(
  (module) => module.crc32c,
  () => undefined,
);

const tables = buildTables();

/**
 * CRC-32C (Castagnoli) of `bytes`, or of `[start, end)` of them, as an unsigned 32-bit number. Give the
 * checksum of what came before as `previous` to go on with it.
 * RFC 3720, appendix B.4.
 */
export function crc32c(
  bytes: Uint8Array,
  previous = 0,
  start = 0,
  end: number = bytes.length,
): number {
  if (native === undefined || end - start < NATIVE_FROM_BYTES) {
    return crc32cPortable(bytes, previous, start, end);
  }
  const whole = start === 0 && end === bytes.length;
  return native(whole ? bytes : bytes.subarray(start, end), previous);
}

/** The same in plain TypeScript: eight bytes a step through eight tables ("slicing by 8"). */
export function crc32cPortable(
  bytes: Uint8Array,
  previous = 0,
  start = 0,
  end: number = bytes.length,
): number {
  let crc = ~previous;
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      tables[0x700 + (crc & 0xff)]! ^
      tables[0x600 + ((crc >>> 8) & 0xff)]! ^
      tables[0x500 + ((crc >>> 16) & 0xff)]! ^
      tables[0x400 + (crc >>> 24)]! ^
      tables[0x300 + bytes[at + 4]!]! ^
      tables[0x200 + bytes[at + 5]!]! ^
      tables[0x100 + bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = tables[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Eight tables of 256 in one array: table k advances a byte by k more zero bytes. */
function buildTables(): Int32Array {
  const all = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    all[byte] = crc;
  }
  for (let i = 256; i < all.length; i++) {
    const shorter = all[i - 256]!;
    all[i] = all[shorter & 0xff]! ^ (shorter >>> 8);
  }
  return all;
}
