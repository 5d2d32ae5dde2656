import { crc32c } from '#/lib/crc32c.ts';
import { placeOf, readChunkRecord, recordSize } from '../chunk-segment.ts';
import type { ChunkFiles } from './chunk-files.ts';

/** Bytes that are read at once as long as chunks lie one behind the other, and after a jump. */
const WINDOW_BYTES = 1024 * 1024;
const JUMP_BYTES = 32 * 1024;

/**
 * A part of a segment file, for whoever reads chunks in the order of the file. It is read into the
 * same memory again and again.
 */
export class ChunkWindow {
  readonly #files: ChunkFiles;
  readonly #signal: AbortSignal | undefined;
  #memory: Uint8Array = new Uint8Array(0);
  /** Replaced by `load()`. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The reference that a chunk at the first byte would have. */
  #firstRef = Number.NaN;
  /** Of the record that was found last: where it begins among the bytes, its encoding byte, its end. */
  start = 0;
  body = 0;
  end = 0;

  constructor(files: ChunkFiles, signal: AbortSignal | undefined) {
    this.#files = files;
    this.#signal = signal;
  }

  /**
   * Finds the record of a chunk and checks it; `false` if it is not at hand as a whole.
   * @throws CorruptionError if its checksum differs.
   */
  find(ref: number): boolean {
    const { bytes } = this;
    const start = ref - this.#firstRef;
    // Not so either while the first reference is no number.
    if (!(start >= 0 && start < bytes.length)) return false;
    let length = 0;
    let body = start;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[body++];
      if (byte === undefined || shift > 21) return this.#findLong(start);
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const crc = body + 1 + length;
    if (crc + 4 > bytes.length) return false;
    this.start = start;
    this.body = body;
    this.end = crc + 4;
    const want =
      bytes[crc]! * 0x1000000 +
      ((bytes[crc + 1]! << 16) | (bytes[crc + 2]! << 8) | bytes[crc + 3]!);
    if (crc32c(bytes, 0, body, crc) !== want) this.#check(start);
    return true;
  }

  /**
   * Reads from the chunk on.
   * @throws CorruptionError if there is no whole record.
   */
  async load(ref: number): Promise<void> {
    const { segment, offset } = placeOf(ref);
    const file = await this.#files.open(segment);
    const goesOn = ref >= this.#firstRef && ref <= this.#firstRef + this.bytes.length;
    const isFirst = Number.isNaN(this.#firstRef);
    await this.#read(ref, isFirst || goesOn ? WINDOW_BYTES : JUMP_BYTES);
    const size = recordSize(this.bytes, 0);
    if (size !== undefined && size > this.bytes.length && offset + size <= file.sizeBytes) {
      await this.#read(ref, size);
    }
    // Tells what is wrong with a record that passes the end of the file.
    if (size === undefined || size > this.bytes.length) this.#check(0);
  }

  async #read(ref: number, length: number): Promise<void> {
    const { segment, offset } = placeOf(ref);
    const file = await this.#files.open(segment);
    if (length > this.#memory.length) this.#memory = new Uint8Array(length);
    this.bytes = await file.read(offset, length, this.#signal, this.#memory);
    this.#firstRef = ref;
  }

  /** A record whose length takes more bytes than four, which hardly is one. */
  #findLong(start: number): boolean {
    const size = recordSize(this.bytes, start);
    if (size === undefined || start + size > this.bytes.length) return false;
    const { data, sizeBytes } = this.#check(start);
    this.start = start;
    this.end = start + sizeBytes;
    this.body = this.end - 4 - data.length - 1;
    return true;
  }

  #check(start: number): ReturnType<typeof readChunkRecord> {
    const { segment, offset } = placeOf(this.#firstRef);
    return readChunkRecord(this.bytes, start, this.#files.pathOf(segment), offset);
  }
}
