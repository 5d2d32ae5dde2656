import { BadInputError } from '#/lib/errors.ts';

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** The size in the largest unit that divides it, as `parseByteSize` reads it: `250MB`, `1536KB`, `0B`. */
export function formatByteSize(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && size % 1024 === 0 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size}${UNITS[unit]!}`;
}

/** Parses `250MB`: a unit is required and means powers of two, as in Thanos (1KB = 1024 B). `0` is fine bare. */
export function parseByteSize(text: string): number {
  if (text === '0') return 0;
  const match = /^(\d+(?:\.\d+)?)\s*([KMGTPE]?)i?B$/i.exec(text);
  if (match === null) {
    throw new BadInputError(`must be a size with a unit (${UNITS.join(', ')}), got "${text}"`);
  }
  const exponent = UNITS.indexOf(`${match[2]!.toUpperCase()}B`);
  return Math.floor(Number(match[1]) * 1024 ** exponent);
}
