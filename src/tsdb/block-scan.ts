import { ByteWriter } from '#/lib/byte-writer.ts';
import type { Interval } from './tombstones.ts';
import type { Tombstones } from './tombstones.ts';
import type { ChunkFiles } from './block/chunk-files.ts';
import { ChunkWindow } from './block/chunk-window.ts';
import { ChunkEncoding } from './chunk.ts';
import type { EncodedChunk, TimedChunk } from './chunk.ts';
import type { ChunkRecords } from './chunk-records.ts';
import type { SeriesCursor, SeriesEntry } from './index.ts';

/** Tells how many samples a chunk has. */
export type CountSamples = (chunk: EncodedChunk) => number;

/**
 * Goes through a block front to back, series by series, with a window of half a megabyte of its index
 * and one of a megabyte of its chunks. All checksums are checked.
 */
export class BlockScan {
  readonly #cursor: SeriesCursor;
  readonly #tombstones: Tombstones;
  readonly #window: ChunkWindow;
  /** Of chunks of one series: their encodings and data. */
  readonly #copies = new ByteWriter();

  constructor(
    cursor: SeriesCursor,
    tombstones: Tombstones,
    files: ChunkFiles,
    signal: AbortSignal | undefined,
  ) {
    this.#cursor = cursor;
    this.#tombstones = tombstones;
    this.#window = new ChunkWindow(files, signal);
  }

  /** The series at hand: its labels, times and places of its chunks. Reused. */
  get entry(): SeriesEntry {
    return this.#cursor.entry;
  }

  /** Deleted ranges of the series whose samples are still in the chunks, in time order. */
  get deleted(): readonly Interval[] {
    return this.#tombstones.get(this.#cursor.series) ?? noIntervals;
  }

  /** To the next series if it is at hand; else `load()` goes there. */
  next(): boolean {
    return this.#cursor.next();
  }

  /** Reads the next series and goes there; `false` at the end. */
  load(): Promise<boolean> {
    return this.#cursor.load();
  }

  /**
   * Copies all chunks of the series as they are. There is a promise only if something has to be read.
   * @throws CorruptionError if one is damaged.
   */
  copyChunks(into: ChunkRecords, countSamples: CountSamples): Promise<void> | undefined {
    const copied = this.#copyAtHand(0, into, countSamples);
    if (copied === this.entry.chunkCount) return undefined;
    return this.#readAndCopy(copied, into, countSamples);
  }

  async #readAndCopy(from: number, into: ChunkRecords, countSamples: CountSamples): Promise<void> {
    const { refs, chunkCount } = this.entry;
    for (let next = from; next < chunkCount;) {
      await this.#window.load(refs[next]!);
      next = this.#copyAtHand(next, into, countSamples);
    }
  }

  /** Copies the chunks from `first` to the last that was read, and returns which comes next. */
  #copyAtHand(first: number, into: ChunkRecords, countSamples: CountSamples): number {
    const { mints, maxts, refs, chunkCount } = this.entry;
    const window = this.#window;
    // What lies in a row is copied in one go.
    let from = 0;
    let to = 0;
    let i = first;
    for (; i < chunkCount && window.find(refs[i]!); i++) {
      if (window.start !== to) {
        if (to > from) into.appendBytes(window.bytes, from, to);
        from = window.start;
      }
      to = window.end;
      into.announce(mints[i]!, maxts[i]!, window.start - from, {
        encoding: window.bytes[window.body]!,
        dataBytes: to - window.body - 5,
        samples: this.#samplesOf(countSamples),
      });
    }
    if (to > from) into.appendBytes(window.bytes, from, to);
    return i;
  }

  /**
   * Shows all chunks of the series, whose data are views that are good until `visit` returns.
   * @throws CorruptionError if one is damaged.
   */
  async visitChunks(visit: (chunk: TimedChunk) => void): Promise<void> {
    const { mints, maxts, refs, chunkCount } = this.entry;
    const window = this.#window;
    for (let i = 0; i < chunkCount; i++) {
      if (!window.find(refs[i]!)) await this.#reach(refs[i]!);
      const { bytes, body, end } = window;
      const data = new Uint8Array(bytes.buffer, bytes.byteOffset + body + 1, end - body - 5);
      visit({ mint: mints[i]!, maxt: maxts[i]!, encoding: bytes[body]!, data });
    }
  }

  /**
   * All chunks of the series, in memory that the next series takes.
   * @throws CorruptionError if one is damaged.
   */
  async readChunks(): Promise<TimedChunk[]> {
    const { mints, maxts, refs, chunkCount } = this.entry;
    const window = this.#window;
    const places: number[] = [];
    this.#copies.clear();
    for (let i = 0; i < chunkCount; i++) {
      if (!window.find(refs[i]!)) await this.#reach(refs[i]!);
      places.push(this.#copies.length);
      this.#copies.range(window.bytes, window.body, window.end - 4);
    }
    // Only when nothing more comes to it the memory stays where it is.
    const copies = this.#copies.written();
    const { buffer, byteOffset, length } = copies;
    return places.map((place, i): TimedChunk => {
      const dataBytes = (places[i + 1] ?? length) - place - 1;
      const data = new Uint8Array(buffer, byteOffset + place + 1, dataBytes);
      return { mint: mints[i]!, maxt: maxts[i]!, encoding: copies[place]!, data };
    });
  }

  async #reach(ref: number): Promise<void> {
    await this.#window.load(ref);
    this.#window.find(ref);
  }

  #samplesOf(countSamples: CountSamples): number {
    const { bytes, body, end } = this.#window;
    const encoding = bytes[body]!;
    const dataBytes = end - body - 5;
    if ((encoding === ChunkEncoding.Xor || encoding === ChunkEncoding.Xor2) && dataBytes >= 2) {
      return bytes[body + 1]! * 256 + bytes[body + 2]!;
    }
    return countSamples({ encoding, data: bytes.subarray(body + 1, end - 4) });
  }
}

const noIntervals: readonly Interval[] = [];
