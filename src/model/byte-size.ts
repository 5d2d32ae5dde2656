import { BadInputError } from '#/lib/errors.ts';

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'];

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
