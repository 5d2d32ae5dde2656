import { serveRequests } from '../worker-pool.ts';

export type Calculation =
  | { readonly kind: 'square'; readonly of: number }
  /** When the thread was started, by which threads are told apart. */
  | { readonly kind: 'birth' }
  /** Waits until the shared number is no longer 0. */
  | { readonly kind: 'wait'; readonly gate: Int32Array }
  | { readonly kind: 'throw' }
  | { readonly kind: 'die' };

const birth = performance.now();

serveRequests((calculation: Calculation): number => {
  switch (calculation.kind) {
    case 'square':
      return calculation.of ** 2;
    case 'birth':
      return birth;
    case 'wait':
      Atomics.wait(calculation.gate, 0, 0);
      return calculation.gate[0]!;
    case 'throw':
      throw new RangeError('no such number');
    case 'die':
      return process.exit(3);
  }
});
