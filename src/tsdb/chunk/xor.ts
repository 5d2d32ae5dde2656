import { ByteReader } from '#/lib/byte-reader.ts';
import { CorruptionError } from '#/lib/errors.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';

/** No sample takes more bytes than this, and the widest read looks 8 bytes further. */
const PADDING_BYTES = 32;

/** The chunk being decoded and zeros behind it: reads may run past its end, up to the check. */
let padded = new Uint8Array(4096);
let paddedView = new DataView(padded.buffer);

/**
 * Appends the samples of `[mint, maxt]` of an XOR chunk to `into`, NaN bits and all, and stops at the
 * first later one.
 *
 *     count <2 bytes> | t0 <varint> | v0 <8 bytes> | t1 - t0 <uvarint> | v1 <XOR code>
 *     | (delta of delta code, XOR code) for each further sample
 *
 * There is no bit reader here: the position and the halves of the last value are local numbers, and
 * each value is XORed from two 32-bit windows that begin `leading` bits before its payload, so that
 * the payload already stands where it belongs and only needs masking.
 * Format: tsdb/chunkenc/xor.go in Prometheus.
 * @throws CorruptionError if the data ends before the stated number of samples.
 */
export function decodeXor(data: Uint8Array, mint: number, maxt: number, into: SampleBuffer): void {
  if (data.length < 2) throw endsEarly(0, 0, data.length * 8);
  const endBit = data.length * 8;
  const view = padBytes(data);
  const count = view.getUint16(0);
  if (count === 0) return;
  into.reserve(count);
  const { times, halves } = into;
  let length = into.length;

  const zigzag = uvarintAt(view, 2, data);
  let time = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  let high = view.getInt32(uvarintEnd);
  let low = view.getInt32(uvarintEnd + 4);
  let bit = 8 * (uvarintEnd + 8);
  if (bit > endBit) throw endsEarly(count, 0, endBit);
  if (time > maxt) return;
  times[length] = time;
  halves[2 * length] = low;
  halves[2 * length + 1] = high;
  if (time >= mint) length++;

  let delta = 0;
  let leading = 0;
  let trailing = 0;
  let maskHigh = -1;
  let maskLow = -1;
  for (let i = 1; i < count; i++) {
    let control: number;
    if (i === 1) {
      delta = uvarintAt(view, bit >>> 3, data);
      bit = 8 * uvarintEnd;
      control = windowAt(view, bit);
    } else {
      const word = windowAt(view, bit);
      const still = Math.clz32(word) >>> 1;
      if (still > 0) {
        // Two zeros a sample: the time as expected, the value as before.
        const end = Math.min(count, i + still);
        bit += 2 * (end - i);
        if (bit > endBit) throw endsEarly(count, i, endBit);
        for (; i < end; i++) {
          time += delta;
          if (time > maxt) break;
          times[length] = time;
          halves[2 * length] = low;
          halves[2 * length + 1] = high;
          if (time >= mint) length++;
        }
        if (i < end) break;
        i--;
        continue;
      }
      if (word >= 0) {
        bit += 1;
        control = word << 1;
      } else if ((word & 0x40000000) === 0) {
        delta += signed((word << 2) >>> 18, 8192);
        bit += 16;
        control = word << 16;
      } else {
        if ((word & 0x20000000) === 0) {
          delta += signed((word << 3) >>> 15, 65536);
          bit += 20;
        } else if ((word & 0x10000000) === 0) {
          delta += signed((word << 4) >>> 12, 524288);
          bit += 24;
        } else {
          delta += int64At(view, bit + 4);
          bit += 68;
        }
        control = windowAt(view, bit);
      }
    }
    time += delta;

    if (control >= 0) {
      bit += 1;
    } else {
      if ((control & 0x40000000) === 0) {
        bit += 2;
      } else {
        leading = (control >>> 25) & 31;
        const significant = (control >>> 19) & 63 || 64;
        trailing = 64 - leading - significant;
        if (trailing < 0) throw badWindow(bit, leading, significant);
        maskHigh = (-1 >>> leading) & (trailing > 32 ? -1 << (trailing - 32) : -1);
        maskLow = trailing >= 32 ? 0 : -1 << trailing;
        bit += 13;
      }
      high ^= windowAt(view, bit - leading) & maskHigh;
      if (maskLow !== 0) low ^= windowAt(view, bit - leading + 32) & maskLow;
      bit += 64 - leading - trailing;
    }
    if (bit > endBit) throw endsEarly(count, i, endBit);

    if (time > maxt) break;
    times[length] = time;
    halves[2 * length] = low;
    halves[2 * length + 1] = high;
    if (time >= mint) length++;
  }
  into.counts?.fill(1, into.length, length);
  into.length = length;
}

/** Copies `data` to where reading a little past its end is harmless. */
function padBytes(data: Uint8Array): DataView {
  const needed = data.length + PADDING_BYTES;
  if (needed + 4 > padded.length) {
    padded = new Uint8Array(2 * needed);
    paddedView = new DataView(padded.buffer);
  }
  padded.set(data);
  // A handful of bytes: `fill` would take longer.
  for (let at = data.length; at < needed; at += 4) paddedView.setInt32(at, 0);
  return paddedView;
}

/** Where the number ends that `uvarintAt` read last. */
let uvarintEnd = 0;

/**
 * The uvarint at a byte of the padded data. One of seven bytes fits a number without further ado, and
 * times are shorter.
 */
function uvarintAt(view: DataView, start: number, data: Uint8Array): number {
  let value = 0;
  let scale = 1;
  for (let at = start; at < start + 7; at++) {
    const byte = view.getUint8(at);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      uvarintEnd = at + 1;
      return value;
    }
    scale *= 0x80;
  }
  const reader = new ByteReader(data, start, 'XOR chunk');
  const long = reader.uvarint();
  uvarintEnd = reader.offset;
  return long;
}

/** The 32 bits from `bit` on, the first one as the sign. */
function windowAt(view: DataView, bit: number): number {
  const at = bit >>> 3;
  const shift = bit & 7;
  return (view.getInt32(at) << shift) | (view.getUint8(at + 4) >>> (8 - shift));
}

/** Of n bits, only values above half (2^(n-1)) stand for negative ones. */
function signed(value: number, half: number): number {
  return value > half ? value - 2 * half : value;
}

function int64At(view: DataView, bit: number): number {
  const value = windowAt(view, bit) * 0x100000000 + (windowAt(view, bit + 32) >>> 0);
  if (!Number.isSafeInteger(value)) {
    throw new CorruptionError(
      `XOR chunk at bit ${bit}: found a time step of ${value} ms, expected less than 2^53`,
    );
  }
  return value;
}

function badWindow(bit: number, leading: number, significant: number): CorruptionError {
  return new CorruptionError(
    `XOR chunk at bit ${bit}: found ${leading} leading and ${significant} significant bits, expected at most 64 together`,
  );
}

function endsEarly(count: number, index: number, endBit: number): CorruptionError {
  return new CorruptionError(
    `XOR chunk: found the end in sample ${index} at bit ${endBit}, expected ${count} samples`,
  );
}
