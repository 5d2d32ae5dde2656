import { isStale, setStale } from '#/model/stale.ts';
import { BitWriter } from './bit-writer.ts';
import { StartTimeEncoder } from './start-times.ts';
import { newXorColumn, writeDifference, writeFirst } from './xor-column.ts';
import type { WindowCodes } from './xor-column.ts';

/** Behind a change of the time step, where a single 0 says that the value stayed. */
const freeCodes: WindowCodes = {
  inWindow: { bits: 0b10, width: 2 },
  newWindow: { bits: 0b110, width: 3 },
};

/** Behind the joint code for "the step stayed, the value did not". */
const changedCodes: WindowCodes = {
  inWindow: { bits: 0, width: 1 },
  newWindow: { bits: 1, width: 1 },
};

/**
 * Writes an XOR2 chunk (see `decodeXor2`) sample by sample, start timestamps included; where to cut
 * chunks is the caller's business. The same bytes as tsdb/chunkenc/xor2.go in Prometheus.
 */
export class Xor2Encoder {
  readonly #writer = new BitWriter();
  readonly #value = newXorColumn();
  readonly #startTimes = new StartTimeEncoder();
  #count = 0;
  #time = 0;
  #delta = 0;

  constructor() {
    this.#writer.bits(0, 24);
  }

  get sampleCount(): number {
    return this.#count;
  }

  /** The value as the halves of its bits. At most 65535 samples; times must not go back. */
  append(time: number, high: number, low: number, startTime: number): void {
    const writer = this.#writer;
    halves[0] = low;
    halves[1] = high;
    const stale = isStale(halves, 0);
    const delta = time - this.#time;
    if (this.#count === 0) {
      writer.varint(time);
      if (stale) setStale(halves, 0);
      writeFirst(writer, this.#value, halves[1]!, halves[0]!);
      if (stale) this.#forgetValue();
    } else if (this.#count === 1) {
      writer.uvarint(delta);
      this.#writeValue(high, low, stale);
    } else {
      this.#writeJoint(delta - this.#delta, high, low, stale);
    }
    const times = { time, previousTime: this.#time, startTime };
    this.#startTimes.write(writer, this.#count, times);
    if (this.#count > 0) this.#delta = delta;
    this.#time = time;
    this.#count++;
  }

  /** The chunk so far; appending may go on. */
  toBytes(): Uint8Array {
    this.#writer.patchUint8(0, this.#count >>> 8);
    this.#writer.patchUint8(1, this.#count & 0xff);
    this.#writer.patchUint8(2, this.#startTimes.header);
    return this.#writer.toBytes();
  }

  /** Readers take up from 0 behind a stale first value. */
  #forgetValue(): void {
    this.#value.high = 0;
    this.#value.low = 0;
  }

  #writeJoint(dod: number, high: number, low: number, stale: boolean): void {
    const writer = this.#writer;
    if (dod !== 0) {
      writeDeltaOfDelta(writer, dod);
      this.#writeValue(high, low, stale);
    } else if (stale) {
      writer.bits(0b11111, 5);
    } else if (high === this.#value.high && low === this.#value.low) {
      writer.bits(0, 1);
    } else {
      writer.bits(0b10, 2);
      this.#writeChange(high, low, changedCodes);
    }
  }

  #writeValue(high: number, low: number, stale: boolean): void {
    if (stale) this.#writer.bits(0b111, 3);
    else if (high === this.#value.high && low === this.#value.low) this.#writer.bits(0, 1);
    else this.#writeChange(high, low, freeCodes);
  }

  #writeChange(high: number, low: number, codes: WindowCodes): void {
    const value = this.#value;
    const xorHigh = high ^ value.high;
    const xorLow = low ^ value.low;
    value.high = high;
    value.low = low;
    writeDifference(this.#writer, value, xorHigh, xorLow, codes);
  }
}

function writeDeltaOfDelta(writer: BitWriter, dod: number): void {
  if (dod >= -(2 ** 12) && dod < 2 ** 12) {
    writer.bits(0b110, 3);
    writer.bits(dod, 13);
  } else if (dod >= -(2 ** 19) && dod < 2 ** 19) {
    writer.bits(0b1110, 4);
    writer.bits(dod, 20);
  } else {
    writer.bits(0b11110, 5);
    writer.int64(dod);
  }
}

/** The sample at hand. */
const halves = new Int32Array(2);
