import { every } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';
import { messageOf, UnavailableError } from '#/lib/errors.ts';
import { together } from '#/lib/together.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { CompactMetrics } from './compact-metrics.ts';
import type { PassResult } from './pass-result.ts';
import type { WatchedQueue } from './queue.ts';

interface Effects {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Runs every queue by itself until the signal aborts: one that is behind, or fails, keeps no other
 * waiting. `show` is called after every pass.
 */
export async function runForever(
  queues: readonly WatchedQueue[],
  options: {
    /** How often the figures of what is left are brought up to date besides; 0 for never. */
    readonly progressIntervalMs: number;
    readonly show: () => Promise<void>;
  },
  effects: Effects & { readonly metrics: CompactMetrics },
): Promise<void> {
  const { progressIntervalMs, show } = options;
  const { clock, log, signal, metrics } = effects;
  const attempt = async (name: string, work: () => Promise<void>, of: AbortSignal) => {
    try {
      await work();
    } catch (thrown) {
      of.throwIfAborted();
      metrics.retries.inc();
      log.warn('cannot go on now; trying again', { queue: name, err: messageOf(thrown) });
    }
  };
  const loops = queues.map((queue) => async (of: AbortSignal) => {
    const { name, intervalMs } = queue.queue;
    const iterate = async () => {
      const work = async () => {
        const { failures } = await drain(queue, show, of);
        if (failures.length === 0) metrics.iterations.inc();
      };
      await attempt(name, work, of);
      queue.rest();
    };
    await iterate();
    await every(clock, intervalMs, of, iterate);
  });
  if (progressIntervalMs > 0) {
    loops.push((of) =>
      every(clock, progressIntervalMs, of, async () => {
        for (const { queue } of queues) {
          await attempt(queue.name, async () => queue.showProgress?.(of), of);
        }
        await show();
      }),
    );
  }
  await together(signal, loops);
}

/**
 * Runs every queue once, in their order, until it finds nothing to do. Jobs of other compactors are
 * waited for, `patienceMs` at a time: one that has died does not end its own.
 * @throws UnavailableError at the end if something could not be done.
 */
export async function runOnce(
  queues: readonly WatchedQueue[],
  { patienceMs, show }: { readonly patienceMs: number; readonly show: () => Promise<void> },
  { clock, log, signal }: Effects,
): Promise<void> {
  const failures: string[] = [];
  for (const queue of queues) {
    let result = await drain(queue, show, signal);
    while (result.elsewhere > 0) {
      log.info('waiting for jobs of other compactors', {
        queue: queue.queue.name,
        jobs: result.elsewhere,
      });
      await clock.sleep(patienceMs, signal);
      result = await drain(queue, show, signal);
    }
    failures.push(...result.failures);
  }
  if (failures.length === 0) return;
  throw new UnavailableError(`not everything could be done: ${failures.join('; ')}`);
}

/** Passes until one finds nothing to do; that one's result is returned. */
async function drain(
  queue: WatchedQueue,
  show: () => Promise<void>,
  signal: AbortSignal,
): Promise<PassResult> {
  for (;;) {
    try {
      const result = await queue.pass(signal);
      if (result.worked === 0) return result;
    } finally {
      await show();
    }
  }
}
