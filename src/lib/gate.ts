/**
 * Lets at most `limit` pieces of work run at once. The others wait in a line for each client, in the
 * order they came; the lines take turns, so that one client with many pieces does not hold up
 * another's first.
 */
export class Gate {
  readonly #limit: number;
  #running = 0;
  /** Lines with somebody in them. The first is the next to give up its front, and goes last then. */
  readonly #lines = new Map<string, (() => void)[]>();

  /** A limit of 0 means none. */
  constructor(limit: number) {
    this.#limit = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    let count = 0;
    for (const line of this.#lines.values()) count += line.length;
    return count;
  }

  /** Runs `work` when there is room; rejects with the signal's reason if it aborts while waiting. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>, client = ''): Promise<T> {
    using _place = await this.enter(signal, client);
    return await work();
  }

  /** Takes a place, which is given back by disposing the result; rejects as `run` does. */
  async enter(signal: AbortSignal, client = ''): Promise<Disposable> {
    await this.#enter(signal, client);
    return { [Symbol.dispose]: () => this.#leave() };
  }

  #enter(signal: AbortSignal, client: string): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < this.#limit) {
      this.#running++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        const line = this.#lines.get(client)!;
        line.splice(line.indexOf(enter), 1);
        if (line.length === 0) this.#lines.delete(client);
        reject(signal.reason as Error);
      };
      const line = this.#lines.get(client);
      if (line === undefined) this.#lines.set(client, [enter]);
      else line.push(enter);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  /** The place goes to the next in line, so newcomers cannot overtake. */
  #leave(): void {
    const [first] = this.#lines;
    if (first === undefined) {
      this.#running--;
      return;
    }
    const [client, line] = first;
    const next = line.shift()!;
    this.#lines.delete(client);
    if (line.length > 0) this.#lines.set(client, line);
    next();
  }
}
