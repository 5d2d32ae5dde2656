import { systemClock } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';

/** The shortest that a bucket waits between two attempts, and the longest. */
const FROM_MS = 200;
const TO_MS = 10_000;

/**
 * The system's clock with the waits between attempts taken out: they pass at once, and time goes on
 * by as much. Shorter sleeps and longer ones, such as deadlines, are real.
 */
export class ImpatientClock implements Clock {
  readonly waits: number[] = [];
  #skippedMs = 0;

  now(): number {
    return systemClock.now() + this.#skippedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms < FROM_MS || ms > TO_MS || signal?.aborted === true) {
      return systemClock.sleep(ms, signal);
    }
    this.waits.push(ms);
    this.#skippedMs += ms;
    return systemClock.sleep(0, signal);
  }
}
