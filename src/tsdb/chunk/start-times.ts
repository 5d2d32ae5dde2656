import type { BitReader } from './bit-reader.ts';
import type { BitWriter } from './bit-writer.ts';

/** The last sample that the header's seven bits can name as the first with an entry. */
const LAST_CHANGE = 0x7f;

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

/** Writes what `StartTimeDecoder` reads. Samples of one start time cost nothing before the first change. */
export class StartTimeEncoder {
  #firstKnown = false;
  #changesFrom = 0;
  #difference = 0;
  #startTime = 0;

  /** The header byte for what was written so far. */
  get header(): number {
    return (this.#firstKnown ? 0x80 : 0) | this.#changesFrom;
  }

  /** Writes what belongs behind sample `index`; a `startTime` of 0 is an unknown one. */
  write(writer: BitWriter, index: number, { time, previousTime, startTime }: SampleTimes): void {
    if (index === 0) {
      this.#firstKnown = startTime !== 0;
      if (this.#firstKnown) writer.varint(time - startTime);
    } else {
      const difference = previousTime - startTime;
      if (this.#changesFrom > 0) {
        writer.varbitInt(difference - this.#difference);
      } else if (startTime !== this.#startTime || index === LAST_CHANGE) {
        this.#changesFrom = index;
        writer.varbitInt(difference);
      }
      this.#difference = difference;
    }
    this.#startTime = startTime;
  }
}

interface SampleTimes {
  readonly time: number;
  readonly previousTime: number;
  readonly startTime: number;
}
