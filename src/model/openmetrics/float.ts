const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/**
 * A number as Go reads it, less hexadecimal ones and underscores, which Prometheus does not take:
 * `1.5e3`, `+Inf`, `infinity`, `NaN`. `undefined` if it is none, or too large.
 */
export function parseGoFloat(text: string): number | undefined {
  if (DECIMAL.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  const [, sign, word] = /^([+-]?)(\w+)$/.exec(text.toLowerCase()) ?? [];
  if (word === 'inf' || word === 'infinity') return sign === '-' ? -Infinity : Infinity;
  return word === 'nan' && sign === '' ? Number.NaN : undefined;
}

/** Powers of ten that are exact. */
const POWERS = Array.from({ length: 23 }, (_, i) => 10 ** i);

/**
 * The plain decimal in `bytes[start, end)`: at most 15 digits, which are exact, as is the power of ten
 * they are divided by, so the quotient is the nearest number. NaN for anything else.
 */
export function plainDecimal(bytes: Uint8Array, start: number, end: number): number {
  const isNegative = bytes[start] === 0x2d;
  const first = isNegative ? start + 1 : start;
  if (end - first > 16 || end === first) return Number.NaN;
  let digits = 0;
  let point = -1;
  for (let at = first; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x30 && byte <= 0x39) digits = digits * 10 + byte - 0x30;
    else if (byte === 0x2e && point === -1) point = at;
    else return Number.NaN;
  }
  const length = end - first - (point === -1 ? 0 : 1);
  if (length === 0 || length > 15) return Number.NaN;
  const value = point === -1 ? digits : digits / POWERS[end - point - 1]!;
  return isNegative ? -value : value;
}
