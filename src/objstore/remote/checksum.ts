import { createHash } from 'node:crypto';
import { crc32c } from '#/lib/crc32c.ts';

/** What a provider says an object's bytes add up to, to be compared while they arrive. */
export interface Checksum {
  /** For messages: `crc32c`. */
  readonly kind: string;
  readonly expected: string;
  /** Whether `expected` may be something else than the checksum. */
  readonly isGuess: boolean;
  add(piece: Uint8Array): void;
  /** Of all that was added; ends it. */
  result(): string;
}

/** Of a CRC-32C as providers write it: four bytes in base64, the highest first. */
export function crc32cChecksum(expected: string): Checksum {
  let crc = 0;
  return {
    kind: 'crc32c',
    expected,
    isGuess: false,
    add: (piece) => (crc = crc32c(piece, crc)),
    result: () => crc32cText(crc),
  };
}

export function crc32cText(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

export function md5Checksum(
  expected: string,
  encoding: 'base64' | 'hex',
  isGuess = false,
): Checksum {
  const hash = createHash('md5');
  return {
    kind: 'md5',
    expected,
    isGuess,
    add: (piece) => hash.update(piece),
    result: () => hash.digest(encoding),
  };
}
