import { messageOf } from '#/lib/errors.ts';
import type { StoreStats } from '#/storeapi/store-stats.ts';
import type { Log } from '#/telemetry/logger.ts';

export interface SlowQueryLog {
  readonly log: Log;
  /** Queries that take this long are told of; 0 for none. */
  readonly longerThanMs: number;
  readonly now: () => number;
}

/** Runs a query; if it takes long, the log tells what it asked and what it took of object storage. */
export async function notedIfSlow<T>(
  { log, longerThanMs, now }: SlowQueryLog,
  { text, stats }: { readonly text: string; readonly stats: StoreStats | undefined },
  run: () => Promise<T>,
): Promise<T> {
  const start = now();
  const note = (outcome: string) => {
    const tookMs = now() - start;
    if (longerThanMs === 0 || tookMs < longerThanMs) return;
    const { requests = 0, bytes = 0 } = stats?.requests.total ?? {};
    log.info('slow query', {
      query: text,
      duration_ms: tookMs,
      outcome,
      blocks: stats?.blocksQueried ?? 0,
      objstore_requests: requests,
      objstore_bytes: bytes,
    });
  };
  try {
    const result = await run();
    note('ok');
    return result;
  } catch (thrown) {
    note(messageOf(thrown));
    throw thrown;
  }
}
