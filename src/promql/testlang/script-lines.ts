import { BadInputError } from '#/lib/errors.ts';

/** The lines of a script, trimmed, comments emptied, and how far they are read. */
export class ScriptLines {
  readonly #file: string;
  readonly #lines: readonly string[];
  #next = 0;

  constructor(text: string, file: string) {
    this.#file = file;
    this.#lines = text.split('\n').map((line) => line.trim().replace(/^#.*/, ''));
  }

  /** Number of the line read last, from 1. */
  get number(): number {
    return this.#next;
  }

  /** The next line of a block, which ends with an empty line. */
  nextOfBlock(): string | undefined {
    const line = this.#lines[this.#next];
    if (line === undefined || line === '') return undefined;
    this.#next++;
    return line;
  }

  /** The first line of the next block. */
  nextBlock(): string | undefined {
    while (this.#lines[this.#next] === '') this.#next++;
    return this.nextOfBlock();
  }

  /** Runs `parse` and puts the place in front of what it finds wrong. */
  located<T>(parse: () => T): T {
    try {
      return parse();
    } catch (thrown) {
      if (!(thrown instanceof BadInputError)) throw thrown;
      const place = `${this.#file}:${this.number}: `;
      if (thrown.message.startsWith(`${this.#file}:`)) throw thrown;
      throw new BadInputError(place + thrown.message, { cause: thrown });
    }
  }
}
