import { ByteReader } from '#/lib/byte-reader.ts';
import { ByteWriter } from '#/lib/byte-writer.ts';
import type { Disk } from '#/lib/disk.ts';
import { compareLabels, Labels } from '#/model/labels.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import type { WindowSeries } from './sample-table.ts';

const PIECE_BYTES = 256 * 1024;

/** A series within one window of a run. */
export interface RunSeries {
  readonly labels: Labels;
  readonly chunks: readonly TimedChunk[];
}

interface Section {
  readonly offset: number;
  length: number;
}

/**
 * A file of sorted samples that did not fit into memory together: for every window a section of series
 * in the order of their labels.
 *
 *     len <4 bytes> | texts of labels <uvarint> | name, value <strings> … | chunks <uvarint>
 *     | (encoding <1 byte> | mint <varint> | maxt - mint <uvarint> | len <uvarint> | data) per chunk
 */
export class SampleRun {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #sections = new Map<number, Section>();

  private constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  static async write(
    disk: Disk,
    path: string,
    sorted: Iterable<WindowSeries>,
    signal: AbortSignal,
  ): Promise<SampleRun> {
    const run = new SampleRun(disk, path);
    const out = new ByteWriter(PIECE_BYTES);
    let written = 0;
    for (const { window, labels, samples } of sorted) {
      const offset = written + out.length;
      writeSeries(out, { labels, chunks: encodeSamples(samples) });
      const section = run.#sections.getOrInsertComputed(window, () => ({ offset, length: 0 }));
      section.length = written + out.length - section.offset;
      if (out.length < PIECE_BYTES) continue;
      signal.throwIfAborted();
      await disk.append(path, out.toBytes());
      written += out.length;
      out.clear();
    }
    await disk.append(path, out.toBytes());
    return run;
  }

  get windows(): Iterable<number> {
    return this.#sections.keys();
  }

  /** The series of a window; of none there are none. */
  async *series(window: number): AsyncGenerator<RunSeries, void> {
    const section = this.#sections.get(window);
    if (section === undefined) return;
    const end = section.offset + section.length;
    let bytes: Uint8Array = new Uint8Array();
    let at = 0;
    for (let next = section.offset; next < end || at < bytes.length;) {
      const missing = missingBytes(bytes, at);
      if (missing === 0) {
        const { series, size } = readSeries(bytes, at);
        yield series;
        at += size;
        continue;
      }
      const length = Math.min(Math.max(PIECE_BYTES, missing), end - next);
      const piece = await this.#disk.readRange(this.#path, next, length);
      next += length;
      bytes = at === bytes.length ? piece : Buffer.concat([bytes.subarray(at), piece]);
      at = 0;
    }
  }
}

function writeSeries(out: ByteWriter, { labels, chunks }: RunSeries): void {
  const body = new ByteWriter();
  body.uvarint(labels.flat.length);
  for (const text of labels.flat) body.string(text);
  body.uvarint(chunks.length);
  for (const { encoding, mint, maxt, data } of chunks) {
    body.uint8(encoding);
    body.varint(mint);
    body.uvarint(maxt - mint);
    body.uvarint(data.length);
    body.bytes(data);
  }
  out.uint32(body.length);
  out.bytes(body.written());
}

/** How many bytes are missing until the next series is there as a whole. */
function missingBytes(bytes: Uint8Array, at: number): number {
  const left = bytes.length - at;
  if (left < 4) return 4 - left;
  return Math.max(0, 4 + new ByteReader(bytes, at).uint32() - left);
}

function readSeries(
  bytes: Uint8Array,
  at: number,
): { readonly series: RunSeries; readonly size: number } {
  const reader = new ByteReader(bytes, at, 'sorted samples');
  const size = 4 + reader.uint32();
  const flat = Array.from({ length: reader.uvarint() }, () => reader.string());
  const chunks = Array.from({ length: reader.uvarint() }, () => {
    const encoding = reader.uint8();
    const mint = reader.varint();
    const maxt = mint + reader.uvarint();
    return { encoding, mint, maxt, data: reader.bytes(reader.uvarint()) } as TimedChunk;
  });
  return { series: { labels: Labels.fromSortedFlat(flat), chunks }, size };
}

/** A run's series of one window, and which run: the earlier one's come first among equals. */
export interface RunCursor {
  readonly order: number;
  readonly rest: AsyncGenerator<RunSeries, void>;
  series: RunSeries;
}

export function compareCursors(a: RunCursor, b: RunCursor): number {
  return compareLabels(a.series.labels, b.series.labels) || a.order - b.order;
}
