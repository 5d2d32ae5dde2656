import { ByteWriter } from '#/lib/byte-writer.ts';
import { ChunkEncoding, isHistogramEncoding } from './chunk.ts';
import type { TimedChunk } from './chunk.ts';
import { writeChunkRecord } from './chunk-segment.ts';
import { ChunkColumns } from './index.ts';

/** What the writer of a segment reckons with for a record, its data apart. */
const RECORD_BYTES = 5 + 1 + 4;

/**
 * The chunks of one series on their way into a block: their records, one behind the other as they will
 * stand in a segment file. Reused from series to series.
 */
export class ChunkRecords {
  /** Times, and where each record begins among the bytes. */
  readonly columns = new ChunkColumns();
  readonly #bytes = new ByteWriter(16 * 1024);
  /** As many bytes as the records take in a segment file at most. */
  sizeBound = 0;
  samples = 0;
  floatSamples = 0;
  histogramSamples = 0;

  clear(): void {
    this.columns.clear();
    this.#bytes.clear();
    this.sizeBound = 0;
    this.samples = 0;
    this.floatSamples = 0;
    this.histogramSamples = 0;
  }

  /** The number of chunks. */
  get length(): number {
    return this.columns.length;
  }

  /** The records: a view. */
  get bytes(): Uint8Array {
    return this.#bytes.written();
  }

  /** Chunks come in time order and are apart. */
  append(chunk: TimedChunk, samples: number): void {
    this.columns.push(chunk.mint, chunk.maxt, this.#bytes.length);
    writeChunkRecord(this.#bytes, chunk);
    this.#count(chunk.encoding, chunk.data.length, samples);
  }

  /**
   * Announces a chunk whose record is among those that the next `appendBytes` brings, `offset` bytes
   * behind its beginning.
   */
  announce(
    mint: number,
    maxt: number,
    offset: number,
    record: { readonly encoding: number; readonly dataBytes: number; readonly samples: number },
  ): void {
    this.columns.push(mint, maxt, this.#bytes.length + offset);
    this.#count(record.encoding, record.dataBytes, record.samples);
  }

  /** Copies whole records as they are. */
  appendBytes(bytes: Uint8Array, from: number, to: number): void {
    this.#bytes.range(bytes, from, to);
  }

  #count(encoding: number, dataBytes: number, samples: number): void {
    this.sizeBound += RECORD_BYTES + dataBytes;
    this.samples += samples;
    if (encoding === ChunkEncoding.Xor || encoding === ChunkEncoding.Xor2) {
      this.floatSamples += samples;
    } else if (isHistogramEncoding(encoding)) {
      this.histogramSamples += samples;
    }
  }
}
