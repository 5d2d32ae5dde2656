import { parentPort } from 'node:worker_threads';
import { runSeed } from './simulation.ts';
import type { SeedOptions } from './simulation.ts';

parentPort!.on('message', (options: SeedOptions) => {
  void runSeed(options).then((result) => parentPort!.postMessage(result));
});
