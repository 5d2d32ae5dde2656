import { createHash } from 'node:crypto';

const KEPT = 60;

/** What happened in a run: the last events for people to read, and a hash over all of them. */
export class EventLog {
  readonly #hash = createHash('sha256');
  readonly #last: string[] = [];
  readonly #now: () => number;
  readonly #startMs: number;
  readonly #print: ((line: string) => void) | undefined;
  count = 0;

  /** Times are shown as hours after `startMs`; `print` sees every line as it comes. */
  constructor(now: () => number, startMs: number, print?: (line: string) => void) {
    this.#now = now;
    this.#startMs = startMs;
    this.#print = print;
  }

  add(who: string, what: string): void {
    const hours = (this.#now() - this.#startMs) / 3_600_000;
    const line = `${++this.count} ${hours.toFixed(4)} ${who}: ${what}`;
    this.#hash.update(line).update('\n');
    this.#last.push(line);
    if (this.#last.length > KEPT) this.#last.shift();
    this.#print?.(line);
  }

  get last(): readonly string[] {
    return this.#last;
  }

  /** Equal for two runs in which the same happened at the same times. */
  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }
}
