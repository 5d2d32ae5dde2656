/** Writes the demo's report: lines, and one line of progress that renews itself on a terminal. */
export class DemoConsole {
  readonly #write: (text: string) => void;
  readonly #isTerminal: boolean;
  #progress = '';

  constructor(write: (text: string) => void, isTerminal: boolean) {
    this.#write = write;
    this.#isTerminal = isTerminal;
  }

  line(text = ''): void {
    this.#clear();
    this.#write(`${text}\n`);
    this.#progress = '';
  }

  /** Shows what is going on and how far it is, `share` in `[0, 1]`. */
  progress(what: string, share: number): void {
    const width = 24;
    const filled = Math.round(width * share);
    const bar = '#'.repeat(filled) + '.'.repeat(width - filled);
    const text = `[${bar}] ${String(Math.round(100 * share)).padStart(3)} % ${what}`;
    if (this.#isTerminal) {
      this.#clear();
      this.#write(text);
      this.#progress = text;
    } else if (share === 1) {
      this.#write(`${text}\n`);
    }
  }

  #clear(): void {
    if (this.#progress !== '') this.#write(`\r${' '.repeat(this.#progress.length)}\r`);
  }
}
