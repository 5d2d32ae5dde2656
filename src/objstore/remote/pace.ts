import type { Clock } from '#/lib/clock.ts';
import { UnavailableError } from '#/lib/errors.ts';

export interface PaceOptions {
  readonly clock: Clock;
  /** Requests a second that are never passed; 0 for no such bound. */
  readonly maxQps: number;
  /** For messages: the bucket. */
  readonly name: string;
  /** Hears how long each request that had to wait did so. */
  readonly waited: (ms: number) => void;
}

/** The slowest that a server's complaints can make us. */
const SLOWEST_QPS = 1;
/** Faster than this, a bound that complaints have set is forgotten. */
const FORGOTTEN_QPS = 1000;
/** Of the rate that was just served, how much is tried after a complaint. */
const BACK_OFF = 0.8;
/** How the rate grows each second: far below the last one that was complained about, and near it. */
const FAST_GROWTH = 1.5;
const SLOW_GROWTH = 1.08;
const NEAR = 0.75;
const SECOND_MS = 1000;
/** The longest that all requests stand still because a server asks for it. */
const LONGEST_PAUSE_MS = 60_000;
/** Requests in the line; more would hold memory and be served too late. */
const MAX_WAITING = 10_000;

/**
 * When requests may go: at most `maxQps` a second, and no faster than the server takes them. Each
 * answer that says "slow down" takes the rate to a little below what was served in the last second;
 * from there it grows again. Requests go in the order in which they came.
 */
export class Pace {
  readonly #options: PaceOptions;
  readonly #waiting: (() => void)[] = [];
  readonly #closed = new AbortController();
  #pumping = false;
  /** When the next request is due, if they go evenly. */
  #dueAt = Number.NEGATIVE_INFINITY;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  /** What the server's complaints allow; `undefined` without any of late. */
  #served:
    | { qps: number; grownAt: number; readonly ceiling: number; readonly loweredAt: number }
    | undefined;
  /** Successes in the running second, which began at `since`, and in the one before. */
  #successes = { since: 0, now: 0, before: 0 };

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Requests a second at the moment; 0 for no bound. */
  get qps(): number {
    const { maxQps } = this.#options;
    const served = this.#served?.qps ?? Number.POSITIVE_INFINITY;
    const qps = Math.min(served, maxQps === 0 ? Number.POSITIVE_INFINITY : maxQps);
    return Number.isFinite(qps) ? qps : 0;
  }

  /** Takes a turn if there is one at this moment. */
  tryEnter(): boolean {
    const now = this.#options.clock.now();
    this.#grow(now);
    if (this.#waiting.length > 0 || this.#delayMs(now) > 0) return false;
    this.#take(now);
    return true;
  }

  /**
   * Waits for this request's turn.
   * @throws UnavailableError at once if the turn cannot come within `patienceMs`.
   */
  async enter(signal: AbortSignal, patienceMs: number): Promise<void> {
    signal.throwIfAborted();
    const now = this.#options.clock.now();
    this.#checkLine(now, patienceMs);
    await this.#wait(signal);
    this.#options.waited(this.#options.clock.now() - now);
  }

  succeeded(): void {
    this.#turnSecond(this.#options.clock.now());
    this.#successes.now++;
  }

  /** A request that was sent at `sentAt` came back with "slow down", perhaps for so long. */
  throttled(sentAt: number, retryAfterMs: number): void {
    const now = this.#options.clock.now();
    const pause = Math.min(retryAfterMs, LONGEST_PAUSE_MS);
    if (pause > 0) this.#pausedUntil = Math.max(this.#pausedUntil, now + pause);
    // Those that were on their way when the rate changed say nothing about the new one.
    if (this.#served !== undefined && sentAt < this.#served.loweredAt) return;
    const qps = Math.max(SLOWEST_QPS, this.#successesPerSecond(now) * BACK_OFF);
    this.#served = { qps, ceiling: this.qps || qps, loweredAt: now, grownAt: now };
  }

  close(): void {
    this.#closed.abort(new Error('the bucket is closed'));
  }

  #checkLine(now: number, patienceMs: number): void {
    const { name, maxQps } = this.#options;
    const length = this.#waiting.length;
    const qps = this.qps;
    const waitMs = this.#delayMs(now) + (qps === 0 ? 0 : (length / qps) * SECOND_MS);
    if (length < MAX_WAITING && waitMs <= patienceMs) return;
    const bound = qps === maxQps ? '--objstore.max-qps' : 'what the provider takes';
    throw new UnavailableError(
      `${name}: ${length} requests wait already, which takes ${Math.ceil(waitMs / SECOND_MS)} s at ${Math.round(qps)} requests a second (${bound})`,
    );
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason as Error);
      };
      this.#waiting.push(enter);
      signal.addEventListener('abort', abort, { once: true });
      if (!this.#pumping) void this.#pump().catch(() => undefined);
    });
  }

  async #pump(): Promise<void> {
    const { clock } = this.#options;
    this.#pumping = true;
    try {
      while (this.#waiting.length > 0) {
        const now = clock.now();
        this.#grow(now);
        const delay = this.#delayMs(now);
        if (delay > 0) await clock.sleep(delay, this.#closed.signal);
        else {
          this.#take(now);
          this.#waiting.shift()?.();
        }
      }
    } finally {
      this.#pumping = false;
    }
  }

  #delayMs(now: number): number {
    return Math.max(0, this.#pausedUntil - now, this.qps === 0 ? 0 : this.#dueAt - now);
  }

  /** Up to a tenth of a second's requests may go at once. */
  #take(now: number): void {
    const qps = this.qps;
    if (qps === 0) return;
    const gap = SECOND_MS / qps;
    const earliest = now - Math.max(0, SECOND_MS / 10 - gap);
    this.#dueAt = Math.max(this.#dueAt, earliest) + gap;
  }

  #grow(now: number): void {
    const served = this.#served;
    if (served === undefined) return;
    while (now - served.grownAt >= SECOND_MS && served.qps <= FORGOTTEN_QPS) {
      served.qps *= served.qps < served.ceiling * NEAR ? FAST_GROWTH : SLOW_GROWTH;
      served.grownAt += SECOND_MS;
    }
    if (served.qps > FORGOTTEN_QPS) this.#served = undefined;
  }

  #successesPerSecond(now: number): number {
    this.#turnSecond(now);
    const { since, now: running, before } = this.#successes;
    return running + before * (1 - (now - since) / SECOND_MS);
  }

  #turnSecond(now: number): void {
    const { since, now: running } = this.#successes;
    const age = now - since;
    if (age < SECOND_MS) return;
    const isNext = age < 2 * SECOND_MS;
    this.#successes = {
      since: isNext ? since + SECOND_MS : now,
      now: 0,
      before: isNext ? running : 0,
    };
  }
}
