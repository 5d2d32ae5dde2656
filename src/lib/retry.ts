import type { Clock } from './clock.ts';

/**
 * Runs `work` until it succeeds, with `intervalMs` between the end of one try and the start of the
 * next; `failed` hears of every failure. Only the signal's abort ends it otherwise, with its reason.
 */
export async function untilSuccess<T>(
  clock: Clock,
  intervalMs: number,
  signal: AbortSignal,
  work: () => Promise<T>,
  failed: (thrown: unknown) => void,
): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (thrown) {
      signal.throwIfAborted();
      failed(thrown);
    }
    await clock.sleep(intervalMs, signal);
  }
}
