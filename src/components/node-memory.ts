import { setFlagsFromString } from 'node:v8';
import type { MemoryProbe } from '#/lib/process-memory.ts';

/** How long after a large query its memory goes back, when nothing refers to it any more. */
const GIVE_BACK_AFTER_MS = 100;
const GIVE_BACK_EVERY_MS = 5000;

/** The memory of this process. Collects only where node was started with `--expose-gc`. */
export function nodeMemory(): MemoryProbe {
  let gaveBackAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  const giveBack = () => {
    timer = undefined;
    gaveBackAt = performance.now();
    collect('last-resort');
  };
  return {
    residentBytes: () => process.memoryUsage.rss(),
    collectGarbage: () => collect('regular'),
    giveBack: () => {
      const waitMs = Math.max(
        GIVE_BACK_AFTER_MS,
        gaveBackAt + GIVE_BACK_EVERY_MS - performance.now(),
      );
      timer ??= setTimeout(giveBack, waitMs).unref();
    },
  };
}

/** `last-resort` also returns the pages of the heap, at several times the cost. */
function collect(flavor: 'regular' | 'last-resort'): void {
  // From here on the heap may grow by a third between two collections, not by as much as it likes.
  setFlagsFromString('--heap-growing-percent=30');
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor });
}
