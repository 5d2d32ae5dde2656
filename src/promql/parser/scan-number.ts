/** Where a scan stopped, and whether what it passed has the shape that was looked for. */
export interface Scan {
  readonly end: number;
  readonly ok: boolean;
}

const DECIMAL = '0123456789';
const HEXADECIMAL = '0123456789abcdefABCDEF';

/**
 * Scans a decimal, octal, hexadecimal or floating-point number at `pos`, rules of promql/parser/lex.go
 * in Prometheus. The shape is looser than a number's: the parser finds the rest. A scan that fails
 * leaves `end` where a duration may go on (`5` of `5m`).
 */
export function scanNumber(text: string, pos: number): Scan {
  const begin = pos;
  const accept = (set: string) => {
    const found = pos < text.length && set.includes(text[pos]!);
    if (found) pos++;
    return found;
  };
  let digits = DECIMAL;
  if (accept('0') && accept('xX')) {
    accept('_');
    digits = HEXADECIMAL;
  }
  accept('.');
  accept(digits);
  let dots = 0;
  let exponents = 0;
  for (;;) {
    if (accept('.')) {
      if (++dots > 1 || accept('_.') || digits === HEXADECIMAL) return { end: pos, ok: false };
    } else if (accept('eE')) {
      if (++exponents > 1) return { end: pos, ok: false };
      accept('+-');
      if (accept('._eE') || pos >= text.length) return { end: pos, ok: false };
    } else if (accept('_')) {
      if (accept('._eE') || pos >= text.length) return { end: pos, ok: false };
    } else if (accept(digits)) {
      while (accept(digits));
    } else break;
  }
  return { end: pos, ok: pos > begin && !isWordCharacter(text, pos) };
}

/**
 * Scans the rest of a duration at `pos`, behind its first digits. The unit `s` may follow any other
 * (`ms`, but also `hs`): the parser rejects what is no unit. A duration that a word character
 * follows is none, and the scan passes that character too.
 */
export function scanDurationRest(text: string, pos: number): Scan {
  const accept = (set: string) => {
    const found = pos < text.length && set.includes(text[pos]!);
    if (found) pos++;
    return found;
  };
  if (!accept('smhdwy')) return { end: pos, ok: false };
  accept('s');
  while (accept(DECIMAL)) {
    while (accept(DECIMAL));
    if (!accept('smhdw')) return { end: pos, ok: false };
    accept('s');
  }
  return isWordCharacter(text, pos) ? { end: pos + 1, ok: false } : { end: pos, ok: true };
}

export function isDigit(char: string | undefined): boolean {
  return char !== undefined && char >= '0' && char <= '9';
}

/** Letters of ASCII and the underscore. */
export function isAlpha(char: string | undefined): boolean {
  if (char === undefined) return false;
  return (char >= 'a' && char <= 'z') || (char >= 'A' && char <= 'Z') || char === '_';
}

export function isWordCharacter(text: string, pos: number): boolean {
  const char = text[pos];
  return isAlpha(char) || isDigit(char);
}
