import { quote } from '#/model/labels.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/**
 * The value of a string token, which the lexer has checked. `\x` and octal escapes are bytes:
 * together they may spell a character in UTF-8. Those that do not become lone surrogates U+DC80 to
 * U+DCFF, so the value is not well-formed (`isWellFormed()`) and equals no text that is.
 */
export function unquote(token: string): string {
  const body = token.slice(1, -1);
  if (token[0] === '`' || !body.includes('\\')) return body;
  let value = '';
  let bytes: number[] = [];
  const flush = () => {
    value += decodeBytes(bytes);
    bytes = [];
  };
  for (const [piece] of body.matchAll(/\\x..|\\u.{4}|\\U.{8}|\\[0-7]{3}|\\.|[^\\]+/gs)) {
    const byte = byteOf(piece);
    if (byte !== undefined) bytes.push(byte);
    else {
      flush();
      value += plainPiece(piece);
    }
  }
  flush();
  return value;
}

function decodeBytes(bytes: readonly number[]): string {
  let text = '';
  for (let i = 0; i < bytes.length;) {
    const length = sequenceLength(bytes[i]!);
    const char = decodeStrictly(bytes.slice(i, i + length));
    text += char ?? String.fromCharCode(0xdc00 + bytes[i]!);
    i += char === undefined ? 1 : length;
  }
  return text;
}

/** How long the UTF-8 sequence that `lead` begins should be. */
function sequenceLength(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

function decodeStrictly(bytes: readonly number[]): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
  } catch {
    return undefined;
  }
}

function byteOf(piece: string): number | undefined {
  if (piece.startsWith(String.raw`\x`)) return Number.parseInt(piece.slice(2), 16);
  return /^\\[0-7]{3}$/.test(piece) ? Number.parseInt(piece.slice(1), 8) : undefined;
}

function plainPiece(piece: string): string {
  if (!piece.startsWith('\\')) return piece;
  const escape = piece[1]!;
  if (escape === 'u' || escape === 'U') {
    return String.fromCodePoint(Number.parseInt(piece.slice(2), 16));
  }
  return ESCAPES[escape] ?? escape;
}

/** What a number token is worth, or the reason why it is none as Go's strconv words it. */
export function parseNumber(text: string): number | string {
  const integer = parseInteger(text);
  if (integer !== undefined) return integer;
  const isWord = /^(inf|nan)$/i.test(text);
  if (isWord) return text.toLowerCase() === 'inf' ? Number.POSITIVE_INFINITY : Number.NaN;
  // An underscore stands between two digits, nowhere else.
  const plain = text.replaceAll(/(?<=\d)_(?=\d)/g, '');
  if (!/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) return failure(text, 'invalid syntax');
  const value = Number(plain);
  return Number.isFinite(value) ? value : failure(text, 'value out of range');
}

/**
 * Hexadecimal, octal (with a leading zero) or decimal, up to 2^63 − 1. No pattern repeats a group and
 * no long number is worked out: a text of megabytes may stand here.
 */
function parseInteger(text: string): number | undefined {
  if (/__|_$/.test(text)) return undefined;
  const digits = text.replaceAll('_', '');
  if (/^0x[\da-f_]+$/i.test(text)) return within63Bits('0x', digits.slice(2));
  if (/^0[0-7_]+$/.test(text)) return within63Bits('0o', digits);
  if (/^(?:0|[1-9][\d_]*)$/.test(text)) return within63Bits('', digits);
  return undefined;
}

/** Octal has the most digits for 63 bits. */
const MAX_DIGITS = 21;

function within63Bits(prefix: string, digits: string): number | undefined {
  const significant = digits.replace(/^0+(?=.)/, '');
  if (significant.length > MAX_DIGITS) return undefined;
  const value = BigInt(prefix + significant);
  return value < 1n << 63n ? Number(value) : undefined;
}

function failure(text: string, reason: string): string {
  return `error parsing number: strconv.ParseFloat: parsing ${quote(text)}: ${reason}`;
}
