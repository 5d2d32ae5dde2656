import { Worker } from 'node:worker_threads';
import type { SeedResult } from './simulation.ts';
import type { VariantName } from './variants.ts';

interface Request {
  readonly first: number;
  readonly count: number;
  readonly variant: VariantName;
  readonly threads: number;
}

/** Most of what a seed allocates is garbage right away; little of it should outlive a scavenge. */
const YOUNG_MB = 96;

/** The results of `count` seeds from `first` on, as they come, from several threads. */
export async function* runSeeds({
  first,
  count,
  variant,
  threads,
}: Request): AsyncGenerator<SeedResult> {
  const results: SeedResult[] = [];
  let next = first;
  let running = 0;
  let arrived = Promise.withResolvers<void>();
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(new URL('./seed.worker.ts', import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    const hand = () => {
      if (next >= first + count) return;
      running++;
      worker.postMessage({ seed: next++, variant });
    };
    worker.on('message', (result: SeedResult) => {
      running--;
      results.push(result);
      hand();
      arrived.resolve();
    });
    worker.on('error', (thrown) => arrived.reject(thrown));
    hand();
    return worker;
  });
  try {
    while (running > 0 || results.length > 0) {
      if (results.length === 0) {
        await arrived.promise;
        arrived = Promise.withResolvers();
      }
      yield* results.splice(0);
    }
  } finally {
    for (const worker of workers) await worker.terminate();
  }
}
