const SLOTS = 60;
const SLOT_MS = 60_000;

/** Adds up what happened in the last hour, to the minute. */
export class HourlySum {
  readonly #startMs: number;
  readonly #slots = new Float64Array(SLOTS);
  /** The minute, since the epoch, of the slot that is being filled. */
  #minute: number;

  constructor(startMs: number) {
    this.#startMs = startMs;
    this.#minute = minuteOf(startMs);
  }

  add(nowMs: number, amount: number): void {
    this.#moveTo(nowMs);
    this.#slots[this.#minute % SLOTS]! += amount;
  }

  /** The sum of the last hour. In the first hour, what it will be at the pace so far. */
  perHour(nowMs: number): number {
    this.#moveTo(nowMs);
    const sum = this.#slots.reduce((total, amount) => total + amount, 0);
    const minutes = Math.max(1, (nowMs - this.#startMs) / SLOT_MS);
    return minutes >= SLOTS ? sum : (sum * SLOTS) / minutes;
  }

  /** Empties the slots of the minutes that passed. A clock that goes back changes nothing. */
  #moveTo(nowMs: number): void {
    const minute = minuteOf(nowMs);
    const passed = Math.min(minute - this.#minute, SLOTS);
    for (let i = 1; i <= passed; i++) this.#slots[(this.#minute + i) % SLOTS] = 0;
    this.#minute = Math.max(this.#minute, minute);
  }
}

function minuteOf(ms: number): number {
  return Math.floor(ms / SLOT_MS);
}
