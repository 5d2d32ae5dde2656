/**
 * Calls `work` for every item, at most `limit` at once, in the order of the items. The first failure
 * aborts the signal that the others were given; it is thrown when all that had started have ended.
 */
export async function concurrently<T>(
  limit: number,
  items: Iterable<T> | AsyncIterable<T>,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const inner = AbortSignal.any([signal, stop.signal]);
  let failure: { readonly thrown: unknown } | undefined;
  const running = new Set<Promise<void>>();
  const fail = (thrown: unknown) => {
    failure ??= { thrown };
    stop.abort(thrown);
  };
  try {
    for await (const item of items) {
      if (running.size >= limit) await Promise.race(running);
      if (inner.aborted) break;
      const task: Promise<void> = work(item, inner)
        .catch(fail)
        .finally(() => running.delete(task));
      running.add(task);
    }
  } catch (thrown) {
    fail(thrown);
  }
  await Promise.all(running);
  signal.throwIfAborted();
  if (failure !== undefined) throw failure.thrown;
}
