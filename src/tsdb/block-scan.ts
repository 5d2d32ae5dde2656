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
 * and one of its chunks. All checksums are checked.
 */
export class BlockScan {
  readonly #cursor: SeriesCursor;
  readonly #tombstones: Tombstones;
  readonly #window: ChunkWindow;

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
   * Copies all chunks of the series as they are, and returns how many samples they have.
   * @throws CorruptionError if one is damaged.
   */
  async copyChunks(into: ChunkRecords, countSamples: CountSamples): Promise<number> {
    const { mints, maxts, refs, chunkCount } = this.entry;
    const window = this.#window;
    let samples = 0;
    // What lies in a row is copied in one go.
    let from = 0;
    let to = 0;
    for (let i = 0; i < chunkCount; i++) {
      if (!window.find(refs[i]!)) {
        if (to > from) into.appendBytes(window.bytes, from, to);
        await this.#reach(refs[i]!);
        from = to = window.start;
      } else if (window.start !== to) {
        if (to > from) into.appendBytes(window.bytes, from, to);
        from = window.start;
      }
      to = window.end;
      const count = this.#samplesOf(countSamples);
      samples += count;
      into.announce(mints[i]!, maxts[i]!, window.start - from, {
        encoding: window.bytes[window.body]!,
        dataBytes: to - window.body - 5,
        samples: count,
      });
    }
    if (to > from) into.appendBytes(window.bytes, from, to);
    return samples;
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
   * All chunks of the series, in memory of their own.
   * @throws CorruptionError if one is damaged.
   */
  async readChunks(): Promise<TimedChunk[]> {
    const { mints, maxts, refs, chunkCount } = this.entry;
    const window = this.#window;
    const chunks: TimedChunk[] = [];
    for (let i = 0; i < chunkCount; i++) {
      if (!window.find(refs[i]!)) await this.#reach(refs[i]!);
      const { bytes, body, end } = window;
      const data = bytes.slice(body + 1, end - 4);
      chunks.push({ mint: mints[i]!, maxt: maxts[i]!, encoding: bytes[body]!, data });
    }
    return chunks;
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
