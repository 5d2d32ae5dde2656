import type { BitReader } from './bit-reader.ts';

/**
 * The start timestamps that encodings 4, 5 and 6 weave into their samples. One header byte says
 * whether sample 0 has one (bit 7) and from which sample on each has an entry (bits 0 to 6, 0 for
 * none). Entries are differences to the time of the sample before.
 * Format: tsdb/chunkenc/st.go in Prometheus.
 */
export class StartTimeDecoder {
  readonly #firstKnown: boolean;
  readonly #changesFrom: number;
  #difference = 0;
  #startTime = 0;

  constructor(header: number) {
    this.#firstKnown = (header & 0x80) !== 0;
    this.#changesFrom = header & 0x7f;
  }

  /** Reads what follows sample `index`; returns its start time, 0 for unknown. */
  read(reader: BitReader, index: number, time: number, previousTime: number): number {
    if (index === 0) {
      if (this.#firstKnown) this.#startTime = time - reader.varint();
    } else if (this.#changesFrom > 0 && index >= this.#changesFrom) {
      const entry = reader.varbitInt();
      this.#difference = index === this.#changesFrom ? entry : this.#difference + entry;
      this.#startTime = previousTime - this.#difference;
    }
    return this.#startTime;
  }
}
