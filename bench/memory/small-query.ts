const EVERY_MS = 200;

/** Asks one cheap query again and again, as a dashboard beside a heavy one would, until disposed. */
export class SmallQuery implements AsyncDisposable {
  readonly #url: string;
  readonly #timer: NodeJS.Timeout;
  readonly #running = new Set<Promise<void>>();
  #latencies: number[] = [];
  readonly failures: string[] = [];

  constructor(url: string) {
    this.#url = url;
    this.#timer = setInterval(() => {
      const asked = this.#ask().finally(() => this.#running.delete(asked));
      this.#running.add(asked);
    }, EVERY_MS);
  }

  /** Milliseconds of the queries that ended since the last call. */
  take(): number[] {
    const taken = this.#latencies;
    this.#latencies = [];
    return taken;
  }

  async #ask(): Promise<void> {
    const begin = performance.now();
    try {
      const reply = await fetch(this.#url);
      const text = await reply.text();
      const body = JSON.parse(text) as { warnings?: unknown; data?: { result?: unknown[] } };
      if (body.data?.result?.length !== 1 || body.warnings !== undefined) this.failures.push(text);
    } catch (thrown) {
      this.failures.push(String(thrown));
    }
    this.#latencies.push(performance.now() - begin);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
  }
}
