/** The count, two times and a value. */
const HEAD_BYTES = 2 + 10 + 8 + 10;
/** A sample at its longest, 68 bits of time and 77 of value. */
const SAMPLE_BYTES = 19;
/** The widest write goes this far beyond its bit. */
const PADDING_BYTES = 5;

/**
 * Writes columns of samples as XOR chunks (see `decodeXor`), one behind the other into the same memory;
 * where to cut chunks is the caller's business.
 *
 * As in `decodeXor` there is no state but a bit position. Every write is of 32 bits: those that count
 * are the upper ones, and what follows them is zero until the next write.
 */
export class XorEncoder {
  #bytes = new Uint8Array(8192);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Begins anew in the memory of the chunks so far, which are lost. */
  clear(): void {
    this.#length = 0;
  }

  /**
   * The chunk of samples `[from, to)`, at most 65535 of them: a view, good until `clear`. Times are whole
   * and do not go back; `halves` are those of the values.
   */
  encode(times: Float64Array, halves: Int32Array, from: number, to: number): Uint8Array {
    const start = this.#reserve(HEAD_BYTES + SAMPLE_BYTES * (to - from) + PADDING_BYTES);
    const view = this.#view;
    view.setUint16(start, to - from);
    let at = start + 2;
    if (to > from) {
      at = putUvarint(view, at, zigzag(times[from]!));
      view.setInt32(at, halves[2 * from + 1]!);
      view.setInt32(at + 4, halves[2 * from]!);
      at += 8;
    }
    if (to > from + 1) {
      at = putUvarint(view, at, times[from + 1]! - times[from]!);
      at = (putRest(view, at * 8, times, halves, from, to) + 7) >>> 3;
    }
    this.#length = at;
    return new Uint8Array(this.#bytes.buffer, start, at - start);
  }

  /** Makes room for `count` bytes, all zero, and returns where they begin. */
  #reserve(count: number): number {
    if (this.#length + count > this.#bytes.length) {
      // Chunks so far stay where they are: their views hold the old memory.
      this.#bytes = new Uint8Array(2 * Math.max(count, this.#bytes.length));
      this.#view = new DataView(this.#bytes.buffer);
      this.#length = 0;
    }
    this.#bytes.fill(0, this.#length, this.#length + count);
    return this.#length;
  }
}

/** All that follows the second time, from `bit` on; returns the bit behind it. */
function putRest(
  view: DataView,
  start: number,
  times: Float64Array,
  halves: Int32Array,
  from: number,
  to: number,
): number {
  let bit = start;
  let time = times[from + 1]!;
  let delta = time - times[from]!;
  let low = halves[2 * from]!;
  let high = halves[2 * from + 1]!;
  let leading = 32; // No window yet: nothing fits it.
  let trailing = 0;
  for (let i = from + 1; i < to; i++) {
    if (i > from + 1) {
      const step = times[i]! - time;
      time = times[i]!;
      if (step === delta) bit += 1;
      else bit = putStep(view, bit, step - delta);
      delta = step;
    }
    const xorLow = low ^ halves[2 * i]!;
    const xorHigh = high ^ halves[2 * i + 1]!;
    if (xorLow === 0 && xorHigh === 0) {
      bit += 1;
      continue;
    }
    low ^= xorLow;
    high ^= xorHigh;
    const zerosAhead = xorHigh === 0 ? 31 : Math.clz32(xorHigh);
    const zerosBehind = xorLow === 0 ? 32 + trailingZeros(xorHigh) : trailingZeros(xorLow);
    if (zerosAhead >= leading && zerosBehind >= trailing) {
      putBits(view, bit, 0b10 << 30);
      bit += 2;
    } else {
      leading = zerosAhead;
      trailing = zerosBehind;
      // Of 64 significant bits, six are written: zero.
      const significant = (64 - leading - trailing) & 63;
      putBits(view, bit, (0b11 << 30) | (leading << 25) | (significant << 19));
      bit += 13;
    }
    putBits(
      view,
      bit,
      leading === 0 ? xorHigh : (xorHigh << leading) | (xorLow >>> (32 - leading)),
    );
    if (leading + trailing < 32) putBits(view, bit + 32, xorLow << leading);
    bit += 64 - leading - trailing;
  }
  return bit;
}

/** The code of a time step that is `change` more than the last; not of 0. */
function putStep(view: DataView, bit: number, change: number): number {
  if (change >= -8191 && change <= 8192) {
    putBits(view, bit, (0b10 << 30) | ((change & 0x3fff) << 16));
    return bit + 16;
  }
  if (change >= -65535 && change <= 65536) {
    putBits(view, bit, (0b110 << 29) | ((change & 0x1ffff) << 12));
    return bit + 20;
  }
  if (change >= -524287 && change <= 524288) {
    putBits(view, bit, (0b1110 << 28) | ((change & 0xfffff) << 8));
    return bit + 24;
  }
  putBits(view, bit, 0b1111 << 28);
  putBits(view, bit + 4, Math.floor(change / 0x100000000));
  putBits(view, bit + 36, change | 0);
  return bit + 68;
}

/** Writes `word` at `bit`, where all is zero so far, as it is up to 8 bits further than it reaches. */
function putBits(view: DataView, bit: number, word: number): void {
  const at = bit >>> 3;
  const shift = bit & 7;
  view.setInt32(at, (view.getUint8(at) << 24) | (word >>> shift));
  view.setUint8(at + 4, word << (8 - shift));
}

/** LEB128 of a whole number that is not negative; returns where it ends. */
function putUvarint(view: DataView, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) view.setUint8(at++, (rest % 0x80) | 0x80);
  view.setUint8(at++, rest);
  return at;
}

function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1;
}

function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}
