/**
 * A sum of numbers that keeps what rounding cuts off (Kahan, with Neumaier's improvement). Past the
 * largest number the rest means nothing and is dropped. Source: util/kahansum in Prometheus.
 */
export class CompensatedSum {
  total = 0;
  /** What rounding has cut off so far. */
  rest = 0;

  constructor(total = 0, rest = 0) {
    this.total = total;
    this.rest = rest;
  }

  add(value: number): void {
    const total = this.total;
    const next = total + value;
    if (next === Infinity || next === -Infinity) this.rest = 0;
    else if (Math.abs(total) >= Math.abs(value)) this.rest += total - next + value;
    else this.rest += value - next + total;
    this.total = next;
  }

  get value(): number {
    return this.total + this.rest;
  }
}
