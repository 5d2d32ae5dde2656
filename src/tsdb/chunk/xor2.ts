import { setStale } from '#/model/stale.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { BitReader } from './bit-reader.ts';
import { StartTimeDecoder } from './start-times.ts';
import { XorColumnReader } from './xor-column.ts';

const HEADER_BYTES = 3;

/**
 * Appends the samples of `[mint, maxt]` of an XOR2 chunk to `into`, start timestamps included, and
 * stops at the first later one. Against XOR, one prefix tells time and value together, and stale
 * markers are single codes that leave the last real value alone:
 *
 *     count <2 bytes> | start time header <1 byte> | t0 <varint> | v0 <8 bytes> | start time
 *     | t1 - t0 <uvarint> | value code | start time | (joint code, start time) for each further sample
 *
 * Format: tsdb/chunkenc/xor2.go in Prometheus.
 * @throws CorruptionError if the data ends before the stated number of samples.
 */
export function decodeXor2(data: Uint8Array, mint: number, maxt: number, into: SampleBuffer): void {
  const header = new BitReader(data, 0);
  const count = header.bits(16);
  if (count === 0) return;
  const startTimes = new StartTimeDecoder(header.bits(8));
  const reader = new BitReader(data, HEADER_BYTES);
  const value = new XorColumnReader();
  let time = 0;
  let delta = 0;
  for (let i = 0; i < count; i++) {
    const previous = time;
    let stale = false;
    if (i === 0) {
      time = reader.varint();
      stale = readFirstValue(reader, value);
    } else if (i === 1) {
      delta = reader.uvarint();
      time += delta;
      stale = readValue(reader, value);
    } else {
      const prefix = reader.ones(5);
      if (prefix >= 2 && prefix <= 4) delta += twosComplement(reader, prefix);
      time += delta;
      if (prefix === 1) readChangedValue(reader, value);
      else if (prefix === 5) stale = true;
      else if (prefix > 1) stale = readValue(reader, value);
    }
    const startTime = startTimes.read(reader, i, time, previous);
    if (time > maxt) return;
    if (time >= mint) push(into, time, value, stale, startTime);
  }
}

/** @returns whether the sample is stale, here and below; the value stays what it was then. */
function readFirstValue(reader: BitReader, value: XorColumnReader): boolean {
  value.readFirst(reader);
  if (!value.isStale) return false;
  value.high = 0;
  value.low = 0;
  return true;
}

/** `0` unchanged, `10` in the last window, `110` in a new one, `111` stale. */
function readValue(reader: BitReader, value: XorColumnReader): boolean {
  const prefix = reader.ones(3);
  if (prefix === 1) value.readInWindow(reader);
  if (prefix === 2) value.readNewWindow(reader);
  return prefix === 3;
}

function readChangedValue(reader: BitReader, value: XorColumnReader): void {
  if (reader.bits(1) === 0) value.readInWindow(reader);
  else value.readNewWindow(reader);
}

/** The delta of deltas: 13, 20 or 64 bits behind 2, 3 or 4 ones. */
function twosComplement(reader: BitReader, prefix: number): number {
  if (prefix === 4) return reader.int64();
  const width = prefix === 2 ? 13 : 20;
  const value = reader.bits(width);
  return value >= 2 ** (width - 1) ? value - 2 ** width : value;
}

function push(
  into: SampleBuffer,
  time: number,
  value: XorColumnReader,
  stale: boolean,
  startTime: number,
): void {
  const index = into.length;
  into.pushFloat(time, 0);
  if (stale) {
    setStale(into.halves, index);
  } else {
    into.halves[2 * index] = value.low;
    into.halves[2 * index + 1] = value.high;
  }
  into.setStartTime(index, startTime);
}
