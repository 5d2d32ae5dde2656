import { parseNumber } from '../parser/literals.ts';

/** The source of a pattern for unsigned numbers. Not hexadecimal: `0x3` is three zeroes. */
export const NUMBER = String.raw`(?:\d[\d_]*\.?[\d_]*(?:e[+-]?\d+)?|\.\d[\d_]*(?:e[+-]?\d+)?|inf|nan)`;

/** A number with an optional sign; `undefined` for anything else. */
export function parseSignedNumber(text: string): number | undefined {
  const sign = /^[+-]/.test(text) ? text[0] : '';
  const value = parseNumber(text.slice(sign!.length));
  if (typeof value === 'string') return undefined;
  return sign === '-' ? -value : value;
}
