import { quote } from '#/model/labels.ts';
import { PromqlParseError } from './parse-error.ts';
import { isAlpha, isDigit, isWordCharacter, scanDurationRest, scanNumber } from './scan-number.ts';
import { scanRawString, scanString } from './scan-string.ts';
import { wordType } from './tokens.ts';
import type { Token, TokenType } from './tokens.ts';

const durationKeywords: ReadonlySet<string> = new Set(['step', 'range', 'max_of', 'min_of']);

/**
 * Cuts a PromQL text into tokens, one a call. What a character means depends on where it stands:
 * inside braces there are no keywords, inside brackets no identifiers, and from `[` to the first
 * number only the symbols of duration arithmetic. States and texts are those of
 * promql/parser/lex.go in Prometheus.
 */
export class Lexer {
  readonly text: string;
  #pos = 0;
  /** Begin of the token at hand; errors point here. */
  #start = 0;
  #parens = 0;
  #inBraces = false;
  #inBrackets = false;
  /** Between `[` and the first number behind it. */
  #inDuration = false;
  #colonSeen = false;
  /** A number was seen in some brackets before; upstream never forgets it. */
  #durationSeen = false;

  constructor(text: string) {
    this.text = text;
  }

  /** Where the next token may begin: the end of the last one. */
  get pos(): number {
    return this.#pos;
  }

  /**
   * The next token; `EOF` again and again at the end.
   * @throws PromqlParseError if no token begins here.
   */
  next(): Token {
    if (this.#inDuration) return this.#durationToken();
    this.#skipSpaceAndComments();
    return this.#inBraces ? this.#braceToken() : this.#statementToken();
  }

  #skipSpaceAndComments(): void {
    for (;;) {
      this.#skipSpace();
      if (this.text[this.#pos] !== '#') break;
      while (this.#pos < this.text.length && !'\r\n'.includes(this.text[this.#pos]!)) this.#pos++;
    }
    this.#start = this.#pos;
  }

  #skipSpace(): void {
    while (isSpace(this.text[this.#pos])) this.#pos++;
  }

  #statementToken(): Token {
    const char = this.text[this.#pos];
    const after = this.text[this.#pos + 1];
    switch (char) {
      case undefined:
        return this.#endOfText();
      case ',':
      case '*':
      case '/':
      case '%':
      case '+':
      case '-':
      case '^':
      case '@':
        return this.#token(char, 1);
      case '=':
        if (after === '=') return this.#token('==', 2);
        if (after === '~') this.#fail(`unexpected character after '=': '~'`);
        return this.#token('=', 1);
      case '!':
        if (after === '=') return this.#token('!=', 2);
        return this.#fail(`unexpected character after '!': ${this.#quotedRune(this.#pos + 1)}`);
      case '<':
      case '>':
        if (after === '=' || after === '/') return this.#token(`${char}${after}` as TokenType, 2);
        return this.#token(char, 1);
      case '"':
      case "'":
      case '`':
        return this.#string(char);
      case '(':
      case ')':
        return this.#paren(char);
      case '{':
        this.#inBraces = true;
        return this.#token('{', 1);
      case '[':
        return this.#openBracket();
      case ']':
        if (!this.#inBrackets) this.#fail(`unexpected right bracket ']'`);
        this.#inBrackets = false;
        return this.#token(']', 1);
      default:
        return this.#wordOrNumber(char, after);
    }
  }

  #endOfText(): Token {
    if (this.#parens !== 0) this.#fail('unclosed left parenthesis');
    if (this.#inBrackets) this.#fail('unclosed left bracket');
    return this.#token('EOF', 0);
  }

  #wordOrNumber(char: string, after: string | undefined): Token {
    if (isDigit(char) || (char === '.' && isDigit(after))) return this.#numberOrDuration();
    if (!isAlpha(char) && char !== ':') {
      return this.#fail(`unexpected character: ${this.#quotedRune(this.#pos)}`);
    }
    if (!this.#inBrackets) return this.#keywordOrIdentifier();
    if (char === ':') {
      if (this.#colonSeen) this.#fail(`unexpected colon ':'`);
      this.#colonSeen = true;
      return this.#token(':', 1);
    }
    return this.#durationKeyword() ?? this.#fail(`unexpected character: '${char}', expected ':'`);
  }

  #keywordOrIdentifier(): Token {
    let end = this.#pos;
    while (isWordCharacter(this.text, end) || this.text[end] === ':') end++;
    const word = this.text.slice(this.#pos, end);
    const type = wordType(word);
    // Metrics may be called `fill`: it is a modifier only in front of a parenthesis.
    const isFill = type === 'fill' || type === 'fill_left' || type === 'fill_right';
    if (isFill && !this.#parenFollows(end)) return this.#token('IDENTIFIER', word.length);
    return this.#token(type, word.length);
  }

  #parenFollows(pos: number): boolean {
    while (isSpace(this.text[pos])) pos++;
    return this.text[pos] === '(';
  }

  #paren(char: '(' | ')'): Token {
    const token = this.#token(char, 1);
    this.#parens += char === '(' ? 1 : -1;
    this.#start = this.#pos;
    if (this.#parens < 0) this.#fail(`unexpected right parenthesis ')'`);
    return token;
  }

  #openBracket(): Token {
    if (this.#inBrackets) this.#fail(`unexpected left bracket '['`);
    this.#colonSeen = false;
    this.#inBrackets = true;
    this.#inDuration = true;
    return this.#token('[', 1);
  }

  #braceToken(): Token {
    const char = this.text[this.#pos];
    const after = this.text[this.#pos + 1];
    switch (char) {
      case undefined:
        return this.#fail('unexpected end of input inside braces');
      case ',':
        return this.#token(',', 1);
      case '"':
      case "'":
      case '`':
        return this.#string(char);
      case '=':
        return after === '~' ? this.#token('=~', 2) : this.#token('=', 1);
      case '!':
        if (after === '~') return this.#token('!~', 2);
        if (after === '=') return this.#token('!=', 2);
        return this.#fail(
          `unexpected character after '!' inside braces: ${this.#quotedRune(this.#pos + 1)}`,
        );
      case '{':
        return this.#fail(`unexpected left brace '{'`);
      case '}':
        this.#inBraces = false;
        return this.#token('}', 1);
      default:
        if (!isAlpha(char)) {
          this.#fail(`unexpected character inside braces: ${this.#quotedRune(this.#pos)}`);
        }
        return this.#identifier();
    }
  }

  #identifier(): Token {
    let end = this.#pos;
    while (isWordCharacter(this.text, end)) end++;
    return this.#token('IDENTIFIER', end - this.#pos);
  }

  #durationToken(): Token {
    this.#skipSpace();
    this.#start = this.#pos;
    const char = this.text[this.#pos];
    switch (char) {
      case undefined:
        return this.#fail('unexpected end of input in duration expression');
      case ']':
        this.#inBrackets = false;
        this.#inDuration = false;
        return this.#token(']', 1);
      case ':':
        return this.#durationColon();
      case '(':
      case ')':
        return this.#paren(char);
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
      case '^':
      case ',':
        return this.#token(char, 1);
      default:
        if (isDigit(char) || (char === '.' && isDigit(this.text[this.#pos + 1]))) {
          this.#durationSeen = true;
          this.#inDuration = false;
          return this.#numberOrDuration();
        }
        return (
          this.#durationKeyword() ??
          this.#fail(`unexpected character in duration expression: ${this.#quotedRune(this.#pos)}`)
        );
    }
  }

  #durationColon(): Token {
    const token = this.#token(':', 1);
    this.#start = this.#pos;
    if (!this.#durationSeen) {
      this.#fail('unexpected colon before duration in duration expression');
    }
    if (this.#colonSeen) this.#fail('unexpected repeated colon in duration expression');
    this.#colonSeen = true;
    return token;
  }

  #durationKeyword(): Token | undefined {
    let end = this.#pos;
    while (isAlpha(this.text[end])) end++;
    const word = this.text.slice(this.#pos, end);
    if (!durationKeywords.has(word.toLowerCase())) return undefined;
    return this.#token(wordType(word), word.length);
  }

  #numberOrDuration(): Token {
    const number = scanNumber(this.text, this.#pos);
    if (number.ok) return this.#token('NUMBER', number.end - this.#pos);
    const { ok, end } = scanDurationRest(this.text, number.end);
    if (ok) return this.#token('DURATION', end - this.#pos);
    return this.#fail(`bad number or duration syntax: ${quote(this.text.slice(this.#pos, end))}`);
  }

  #string(mark: '"' | "'" | '`'): Token {
    const scan = mark === '`' ? scanRawString : scanString;
    const scanned = scan(this.text, this.#pos);
    if (typeof scanned === 'string') return this.#fail(scanned);
    return this.#token('STRING', scanned - this.#pos);
  }

  #token(type: TokenType, length: number): Token {
    const start = this.#pos;
    this.#pos += length;
    return { type, text: this.text.slice(start, this.#pos), start, end: this.#pos };
  }

  #quotedRune(pos: number): string {
    return quoteRune(this.text.codePointAt(pos));
  }

  #fail(message: string): never {
    throw new PromqlParseError(this.text, this.#start, message);
  }
}

function isSpace(char: string | undefined): boolean {
  return char === ' ' || char === '\t' || char === '\n' || char === '\r';
}

/** As Go's `%q` prints a character; the end of the text counts as U+FFFD. */
function quoteRune(rune: number | undefined): string {
  const char = String.fromCodePoint(rune ?? 0xfffd);
  if (char === "'") return String.raw`'\''`;
  if (char === '"') return `'"'`;
  return `'${quote(char).slice(1, -1)}'`;
}
