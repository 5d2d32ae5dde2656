import { setTimeout as delay } from 'node:timers/promises';

/** Time as the components see it, in milliseconds since the Unix epoch. */
export interface Clock {
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (thrown) {
      signal?.throwIfAborted();
      throw thrown;
    }
  },
};

/**
 * Runs `work` every `intervalMs`, first after one interval, until `signal` aborts; resolves then.
 * Runs never overlap: the interval counts from the end of one run to the start of the next.
 * What `work` throws ends the loop, unless it is the signal's own abort.
 */
export async function every(
  clock: Clock,
  intervalMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await clock.sleep(intervalMs, signal);
      await work(signal);
    } catch (thrown) {
      if (signal.aborted) return;
      throw thrown;
    }
  }
}
