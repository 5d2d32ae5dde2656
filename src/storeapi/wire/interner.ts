const SLOTS = 16_384;
const MAX_BYTES = 256;

/**
 * Turns UTF-8 into strings and gives the same string object for the same bytes as long as it
 * remembers them: label names and values repeat from series to series, and finding one costs a
 * fraction of making one. A slot holds one text, so memory is bounded by 16,384 texts of 256 bytes.
 */
export class Interner {
  readonly #slots: (string | undefined)[] = Array.from<undefined>({ length: SLOTS });

  /** The text of `bytes[start, end)`. */
  text(bytes: Buffer, start: number, end: number): string {
    const length = end - start;
    if (length === 0) return '';
    if (length > MAX_BYTES) return bytes.toString('utf8', start, end);
    let hash = length;
    let all = 0;
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      all |= byte;
      hash = Math.imul(hash ^ byte, 0x01000193);
    }
    if (all >= 0x80) return bytes.toString('utf8', start, end);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const known = this.#slots[slot];
    if (known !== undefined && isText(known, bytes, start, length)) return known;
    const text = bytes.toString('latin1', start, end);
    this.#slots[slot] = text;
    return text;
  }
}

function isText(text: string, bytes: Buffer, start: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}
