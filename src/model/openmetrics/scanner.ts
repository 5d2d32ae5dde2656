import { BadInputError } from '#/lib/errors.ts';

/** Goes through one line of text and says where it is not what it should be. */
export class Scanner {
  readonly #line: string;
  readonly #where: string;
  position = 0;

  /** `where` names file and line. */
  constructor(line: string, where: string) {
    this.#line = line;
    this.#where = where;
  }

  get isAtEnd(): boolean {
    return this.position >= this.#line.length;
  }

  /** Whether `text` comes next. */
  sees(text: string): boolean {
    return this.#line.startsWith(text, this.position);
  }

  /** Passes `text` if it comes next. */
  accept(text: string): boolean {
    if (!this.sees(text)) return false;
    this.position += text.length;
    return true;
  }

  expect(text: string, wanted = `"${text}"`): void {
    if (!this.accept(text)) throw this.error(wanted);
  }

  /** Passes what the sticky `pattern` matches, which is not nothing. */
  match(pattern: RegExp, wanted: string): string {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.#line)?.[0];
    if (found === undefined) throw this.error(wanted);
    this.position += found.length;
    return found;
  }

  /** The error for what is `at` a position, by default here. */
  error(wanted: string, at = this.position): BadInputError {
    const rest = this.#line.slice(at, at + 20);
    const found = rest === '' ? 'the end of the line' : JSON.stringify(rest);
    return new BadInputError(`${this.#where}:${at + 1}: found ${found}, expected ${wanted}`);
  }

  /** The error for something else that is wrong `at` a position. */
  complaint(message: string, at = this.position): BadInputError {
    return new BadInputError(`${this.#where}:${at + 1}: ${message}`);
  }
}
