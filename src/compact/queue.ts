import type { Clock } from '#/lib/clock.ts';
import { messageOf } from '#/lib/errors.ts';
import type { PassResult } from './pass-result.ts';

/** One of the things that a compactor does, independent of the others but for the view they share. */
export interface Queue {
  readonly name: string;
  readonly intervalMs: number;
  pass(signal: AbortSignal): Promise<PassResult>;
  /** Brings the figures of what is left up to date. */
  showProgress?(signal: AbortSignal): Promise<void>;
  /** When a job last showed that it gets on. */
  lastSignMs?(): number | undefined;
}

export interface PassStatus {
  readonly startedMs: number;
  readonly endedMs: number;
  /** `undefined` if the pass failed as a whole. */
  readonly result: PassResult | undefined;
  /** Why it failed as a whole, as without a view on the bucket. */
  readonly error: string | undefined;
}

/**
 * What is wrong with a queue that gets nowhere: its passes have been failing for long, or one is
 * under way and nothing has come of it for long.
 */
export interface QueueTrouble {
  readonly kind: 'failing' | 'hanging';
  readonly message: string;
  readonly sinceMs: number;
}

export interface QueueStatus {
  readonly name: string;
  readonly intervalMs: number;
  /** Since when a pass has been under way. */
  readonly runningSinceMs: number | undefined;
  readonly lastPass: PassStatus | undefined;
  /** The end of the last pass that got through, also with faults in some groups. */
  readonly lastSuccessMs: number | undefined;
  readonly nextMs: number | undefined;
  readonly trouble: QueueTrouble | undefined;
}

const LEAST_PATIENCE_MS = 3_600_000;
const PATIENCE_INTERVALS = 3;

/** A queue whose passes are kept in mind, so that one that gets nowhere shows. */
export class WatchedQueue {
  readonly queue: Queue;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #createdMs: number;
  #runningSinceMs: number | undefined;
  #lastPass: PassStatus | undefined;
  #lastSuccessMs: number | undefined;
  #nextMs: number | undefined;

  constructor(queue: Queue, clock: Pick<Clock, 'now'>) {
    this.queue = queue;
    this.#clock = clock;
    this.#createdMs = clock.now();
  }

  async pass(signal: AbortSignal): Promise<PassResult> {
    const startedMs = this.#clock.now();
    this.#runningSinceMs = startedMs;
    this.#nextMs = undefined;
    let result: PassResult | undefined;
    let error: string | undefined;
    try {
      result = await this.queue.pass(signal);
      this.#lastSuccessMs = this.#clock.now();
      return result;
    } catch (thrown) {
      error = messageOf(thrown);
      throw thrown;
    } finally {
      this.#runningSinceMs = undefined;
      this.#lastPass = { startedMs, endedMs: this.#clock.now(), result, error };
    }
  }

  /** The next pass begins one interval from here. */
  rest(): void {
    this.#nextMs = this.#clock.now() + this.queue.intervalMs;
  }

  status(): QueueStatus {
    const { name, intervalMs } = this.queue;
    return {
      name,
      intervalMs,
      runningSinceMs: this.#runningSinceMs,
      lastPass: this.#lastPass,
      lastSuccessMs: this.#lastSuccessMs,
      nextMs: this.#nextMs,
      trouble: this.#trouble(),
    };
  }

  #trouble(): QueueTrouble | undefined {
    const { name, intervalMs } = this.queue;
    const patienceMs = Math.max(LEAST_PATIENCE_MS, PATIENCE_INTERVALS * intervalMs);
    const latestMs = this.#clock.now() - patienceMs;
    const running = this.#runningSinceMs;
    const minutes = (sinceMs: number) => Math.round((this.#clock.now() - sinceMs) / 60_000);
    if (running !== undefined) {
      const sinceMs = Math.max(running, this.queue.lastSignMs?.() ?? running);
      if (sinceMs < latestMs) {
        const message = `${name}: nothing has come of the pass under way for ${minutes(sinceMs)} minutes`;
        return { kind: 'hanging', message, sinceMs };
      }
    }
    const sinceMs = this.#lastSuccessMs ?? this.#createdMs;
    const error = this.#lastPass?.error;
    if (error === undefined || sinceMs >= latestMs) return undefined;
    const message = `${name}: no pass has succeeded for ${minutes(sinceMs)} minutes: ${error}`;
    return { kind: 'failing', message, sinceMs };
  }
}
