/**
 * What happens to one operation on an in-memory disk or bucket:
 * - `refuse`: it fails and changes nothing;
 * - `tear`: it fails after a part of a file was written (on a bucket as `refuse`: objects are whole);
 * - `lose-reply`: it takes effect, and fails all the same.
 */
export type Fault = 'refuse' | 'tear' | 'lose-reply';

/** Asked before every operation, in the order in which they start; `undefined` lets it pass. */
export type FaultPlan = (operation: string) => Fault | undefined;

/** The failure of an operation that a `FaultPlan` picked. */
export class InjectedFault extends Error {
  override readonly name = 'InjectedFault';

  constructor(fault: Fault, operation: string) {
    super(`injected fault (${fault}) at ${operation}`);
  }
}

/**
 * Lets pass the operations before the one with index `at` (from 0), and then either this one only
 * or, as after a crash, it and all later ones fail. `count` is how many were asked for.
 */
export class FaultAt {
  readonly #at: number;
  readonly #fault: Fault;
  readonly #crash: boolean;
  count = 0;

  constructor(at: number, fault: Fault, crash: boolean) {
    this.#at = at;
    this.#fault = fault;
    this.#crash = crash;
  }

  readonly plan: FaultPlan = () => {
    const index = this.count++;
    if (index === this.#at) return this.#fault;
    return this.#crash && index > this.#at ? 'refuse' : undefined;
  };
}
