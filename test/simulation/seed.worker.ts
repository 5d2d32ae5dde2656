import { parentPort } from 'node:worker_threads';
import { runSeed } from './simulation.ts';
import type { SeedOptions } from './simulation.ts';

// Thousands of objects that are looked for are not there, and nobody reads where that was found out.
Error.stackTraceLimit = 0;

parentPort!.on('message', (options: SeedOptions) => {
  void runSeed(options).then((result) => parentPort!.postMessage(result));
});
