import type { Clock } from './clock.ts';

/** A signal that is bound to end; disposing it stops its timer. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
  /** Whether the time ran out, rather than the parent aborting. */
  readonly expired: boolean;
}

/**
 * A signal that aborts with a `TimeoutError` after `ms`, or with `parent`'s reason as soon as that
 * one aborts. It goes by `clock`, which `AbortSignal.timeout` cannot.
 */
export function deadline(clock: Clock, ms: number, parent?: AbortSignal): Deadline {
  const expiry = new AbortController();
  const stop = new AbortController();
  const expire = () => expiry.abort(new DOMException(`no answer within ${ms} ms`, 'TimeoutError'));
  void clock.sleep(ms, stop.signal).then(expire, () => undefined);
  return {
    signal: parent === undefined ? expiry.signal : AbortSignal.any([parent, expiry.signal]),
    get expired() {
      return expiry.signal.aborted && parent?.aborted !== true;
    },
    [Symbol.dispose]: () => stop.abort(),
  };
}
