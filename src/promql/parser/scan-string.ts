import { quote } from '#/model/labels.ts';

const SIMPLE_ESCAPES = 'abfnrtv\\';

/**
 * Scans the quoted string that begins at `pos`; rules of promql/parser/lex.go in Prometheus.
 * Returns the position behind it, or what is wrong with it.
 */
export function scanString(text: string, pos: number): number | string {
  const mark = text[pos]!;
  pos++;
  for (;;) {
    const char = text[pos];
    if (char === undefined || char === '\n') return 'unterminated quoted string';
    if (char === mark) return pos + 1;
    if (char === '\\') {
      const escape = scanEscape(text, pos + 1, mark);
      if (typeof escape === 'string') return escape;
      pos = escape;
    } else {
      const rune = text.codePointAt(pos)!;
      if (isInvalid(rune)) return 'invalid UTF-8 rune';
      pos += rune > 0xffff ? 2 : 1;
    }
  }
}

/** As `scanString`, for strings in backticks: no escapes, newlines allowed. */
export function scanRawString(text: string, pos: number): number | string {
  for (pos++; pos < text.length; pos++) {
    if (text[pos] === '`') return pos + 1;
    const rune = text.codePointAt(pos)!;
    if (isInvalid(rune)) return 'invalid UTF-8 rune';
    if (rune > 0xffff) pos++;
  }
  return 'unterminated raw string';
}

/** A lone surrogate becomes U+FFFD on the wire, and that character marks damage. */
function isInvalid(rune: number): boolean {
  return rune === 0xfffd || (rune >= 0xd800 && rune < 0xe000);
}

function scanEscape(text: string, pos: number, mark: string): number | string {
  const char = text[pos];
  if (char === undefined) return 'escape sequence not terminated';
  if (char === mark || SIMPLE_ESCAPES.includes(char)) return pos + 1;
  if (char >= '0' && char <= '7') return scanDigits(text, pos, { count: 3, base: 8, max: 0xff });
  if (char === 'x') return scanDigits(text, pos + 1, { count: 2, base: 16, max: 0xff });
  if (char === 'u') return scanDigits(text, pos + 1, { count: 4, base: 16, max: 0x10ffff });
  if (char === 'U') return scanDigits(text, pos + 1, { count: 8, base: 16, max: 0x10ffff });
  return `unknown escape sequence ${describeRune(text.codePointAt(pos)!)}`;
}

function scanDigits(
  text: string,
  pos: number,
  { count, base, max }: { count: number; base: number; max: number },
): number | string {
  let value = 0;
  for (let i = 0; i < count; i++, pos++) {
    const char = text[pos];
    if (char === undefined) return 'escape sequence not terminated';
    const digit = /[0-9a-fA-F]/.test(char) ? Number.parseInt(char, 16) : 16;
    if (digit >= base) {
      return `illegal character ${describeRune(text.codePointAt(pos)!)} in escape sequence`;
    }
    value = value * base + digit;
  }
  const isSurrogate = value >= 0xd800 && value < 0xe000;
  if (value > max || isSurrogate) return 'escape sequence is an invalid Unicode code point';
  return pos;
}

/** As Go's `%#U`: `U+0071 'q'`, without the character when it cannot be printed. */
function describeRune(rune: number): string {
  const code = `U+${rune.toString(16).toUpperCase().padStart(4, '0')}`;
  const char = String.fromCodePoint(rune);
  const isPrintable = quote(char).length === char.length + 2 || char === '"' || char === '\\';
  return isPrintable ? `${code} '${char}'` : code;
}
