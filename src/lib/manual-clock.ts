import type { Clock } from './clock.ts';

interface Sleeper {
  wakeAt: number;
  readonly order: number;
  readonly wake: () => void;
}

/** A clock that stands still until `advance` moves it; sleepers wake in the order of their times. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #sleepers = new Set<Sleeper>();

  constructor(now = 0) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** Sets the clock, forward or back, as an administrator does; sleepers wait as long as before. */
  set(now: number): void {
    const jump = now - this.#now;
    this.#now = now;
    for (const sleeper of this.#sleepers) sleeper.wakeAt += jump;
  }

  /** How many sleepers wait; a simulation advances the clock when nothing else can move. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const abort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason as Error);
      };
      const wake = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const sleeper: Sleeper = {
        wakeAt: this.#now + Math.max(0, Math.ceil(ms)),
        order: this.#order++,
        wake,
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Moves time on by `ms`, waking each sleeper at its own time and letting it run before the next. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#sleepers.delete(next);
      this.#now = Math.max(this.#now, next.wakeAt);
      next.wake();
      await settle();
    }
    this.#now = until;
    await settle();
  }

  #next(until: number): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (sleeper.wakeAt > until) continue;
      const earlier =
        first === undefined ||
        sleeper.wakeAt < first.wakeAt ||
        (sleeper.wakeAt === first.wakeAt && sleeper.order < first.order);
      if (earlier) first = sleeper;
    }
    return first;
  }
}

/** Lets every promise that can go on do so. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
