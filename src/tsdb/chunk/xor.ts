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
  const reader = new ByteReader(data, 0, 'XOR chunk');
  const count = reader.uint16();
  if (count === 0) return;
  into.reserve(count);
  const { times, halves } = into;
  let length = into.length;

  let time = reader.varint();
  let high = reader.uint32() | 0;
  let low = reader.uint32() | 0;
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
  const endBit = data.length * 8;
  const view = padBytes(data);
  let bit = reader.offset * 8;
  for (let i = 1; i < count; i++) {
    let control: number;
    if (i === 1) {
      delta = reader.uvarint();
      bit = reader.offset * 8;
      control = windowAt(view, bit);
    } else {
      const word = windowAt(view, bit);
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
      low ^= windowAt(view, bit - leading + 32) & maskLow;
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
  if (needed > padded.length) {
    padded = new Uint8Array(2 * needed);
    paddedView = new DataView(padded.buffer);
  }
  padded.set(data);
  padded.fill(0, data.length, needed);
  return paddedView;
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
