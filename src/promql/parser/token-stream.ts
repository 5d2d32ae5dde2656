import type { PositionRange } from '../ast.ts';
import type { ParserFeatures } from './features.ts';
import { Lexer } from './lexer.ts';
import { PromqlParseError } from './parse-error.ts';
import { describe } from './tokens.ts';
import type { Token, TokenType } from './tokens.ts';

/** What the parser is in the middle of, for the message about a token that fits nowhere. */
export interface SyntaxContext {
  readonly what: string;
  /** What would have fitted; `''` when that is too much to tell. */
  readonly expected: string;
}

/** How deep parentheses and calls nest; the parser takes up to 0.7 KB of stack a level. */
const MAX_NESTING = 500;
/** How high a tree is, chains of operators included. Whoever walks one recurses once a level. */
const MAX_LEVELS = 1000;

/**
 * The tokens of a text with one token of lookahead, read as late as possible: upstream reports the
 * first error it meets, so a mistake found before a bad character must not wait for that character.
 */
export class TokenStream {
  readonly features: ParserFeatures;
  /** Innermost construct whose rules speak of mistakes; `undefined` at the top. */
  context: SyntaxContext | undefined;
  /** Levels of the expression that was parsed last. */
  height = 0;
  readonly #lexer: Lexer;
  #ahead: Token | undefined;
  #last: Token | undefined;
  #depth = 0;

  constructor(text: string, features: ParserFeatures) {
    this.#lexer = new Lexer(text);
    this.features = features;
  }

  get text(): string {
    return this.#lexer.text;
  }

  peek(): Token {
    return (this.#ahead ??= this.#lexer.next());
  }

  take(): Token {
    const token = this.peek();
    this.#ahead = undefined;
    this.#last = token;
    return token;
  }

  at(type: TokenType): boolean {
    return this.peek().type === type;
  }

  /** Takes the next token if it is a `type`. */
  accept(type: TokenType): Token | undefined {
    return this.at(type) ? this.take() : undefined;
  }

  /** Takes the next token, which must be a `type`. */
  expect(type: TokenType): Token {
    return this.at(type) ? this.take() : this.unexpected();
  }

  /** End of the last token taken. */
  get end(): number {
    return this.#last?.end ?? 0;
  }

  /** One level down; `leave` comes back up. */
  enter(): void {
    if (++this.#depth > MAX_NESTING) {
      this.fail(this.end, `expression is nested more than ${MAX_NESTING} levels deep`);
    }
  }

  leave(): void {
    this.#depth--;
  }

  /** Notes the height of the expression that has just been put together. */
  built(height: number): void {
    if (height > MAX_LEVELS) this.fail(this.end, `expression has more than ${MAX_LEVELS} levels`);
    this.height = height;
  }

  /** Complains about the next token, in words of the context unless others are given. */
  unexpected(context = this.context): never {
    const token = this.peek();
    const where = context === undefined ? '' : ` in ${context.what}`;
    const expected =
      context === undefined || context.expected === '' ? '' : `, expected ${context.expected}`;
    this.fail(token.start, `unexpected ${describe(token)}${where}${expected}`);
  }

  fail(at: number | PositionRange, detail: string): never {
    throw new PromqlParseError(this.text, typeof at === 'number' ? at : at.start, detail);
  }
}
