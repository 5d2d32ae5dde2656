/**
 * Runs all works at once, each under a signal that aborts with `parent` and as soon as one of them
 * fails. Resolves when all have ended; rejects, then too, with the first failure.
 */
export async function together(
  parent: AbortSignal,
  works: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([parent, failed.signal]);
  const failures: unknown[] = [];
  const run = async (work: (signal: AbortSignal) => Promise<void>) => {
    try {
      await work(signal);
    } catch (thrown) {
      failures.push(thrown);
      failed.abort(new Error('stopped, since another part has failed', { cause: thrown }));
    }
  };
  await Promise.all(works.map(run));
  if (failures.length > 0 && !parent.aborted) throw failures[0];
}
