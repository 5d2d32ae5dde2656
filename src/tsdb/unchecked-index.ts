import { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { SERIES_ALIGNMENT } from './index/series-entry.ts';
import type { ChunkMeta } from './index/series-entry.ts';
import { INDEX_MAGIC, writeToc } from './index/toc.ts';

export interface UncheckedSeries {
  /** In the order in which the index has them. */
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly chunks: readonly ChunkMeta[];
}

/**
 * An index of version 2 with anything in any order, such as old Prometheuses wrote and `IndexWriter`
 * refuses to: for tests of what reads, judges and repairs blocks.
 */
export function writeUncheckedIndex(series: readonly UncheckedSeries[]): Uint8Array {
  const out = new ByteWriter();
  out.uint32(INDEX_MAGIC);
  out.uint8(2);
  const symbols = [...new Set(series.flatMap(({ labels }) => labels.flat()))].sort(compareUtf8);
  const symbolsStart = section(out, symbols.length, (contents) => {
    for (const text of symbols) contents.string(text);
  });
  const seriesStart = out.length;
  const ids = series.map((one) => writeEntry(out, one, (text) => symbols.indexOf(text)));
  const names = new Set(series.flatMap(({ labels }) => labels.map((label) => label.join('\0'))));
  const lists = ['\0', ...[...names].sort(compareUtf8)].map((key) => {
    const [name, value] = key.split('\0') as [string, string];
    const members = ids.filter((_, i) => {
      return name === '' || series[i]!.labels.some(([n, v]) => n === name && v === value);
    });
    pad(out, 4);
    const start = section(out, members.length, (contents) => {
      for (const id of members) contents.uint32(id);
    });
    return { name, value, start };
  });
  const postings = lists[0]!.start;
  const postingsTable = section(out, lists.length, (contents) => {
    for (const { name, value, start } of lists) {
      contents.uvarint(2);
      contents.string(name);
      contents.string(value);
      contents.uvarint(start);
    }
  });
  writeToc(out, {
    symbols: symbolsStart,
    series: seriesStart,
    labelIndices: postings,
    labelIndicesTable: postingsTable,
    postings,
    postingsTable,
  });
  return out.toBytes();
}

function writeEntry(
  out: ByteWriter,
  { labels, chunks }: UncheckedSeries,
  symbolOf: (text: string) => number,
): number {
  pad(out, SERIES_ALIGNMENT);
  const id = out.length / SERIES_ALIGNMENT;
  const body = new ByteWriter();
  body.uvarint(labels.length);
  for (const label of labels) for (const text of label) body.uvarint(symbolOf(text));
  body.uvarint(chunks.length);
  let previous: ChunkMeta | undefined;
  for (const chunk of chunks) {
    if (previous === undefined) body.varint(chunk.mint);
    else wrappedUvarint(body, chunk.mint - previous.maxt);
    body.uvarint(chunk.maxt - chunk.mint);
    if (previous === undefined) body.uvarint(chunk.ref);
    else body.varint(chunk.ref - previous.ref);
    previous = chunk;
  }
  out.uvarint(body.length);
  out.bytes(body.written());
  out.uint32(crc32c(body.written()));
  return id;
}

/** A negative number in the two's complement of 64 bits. */
function wrappedUvarint(out: ByteWriter, value: number): void {
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) out.uint8(Number(rest & 0x7fn) | 0x80);
  out.uint8(Number(rest));
}

function section(out: ByteWriter, count: number, fill: (contents: ByteWriter) => void): number {
  const start = out.length;
  const contents = new ByteWriter();
  contents.uint32(count);
  fill(contents);
  out.uint32(contents.length);
  out.bytes(contents.written());
  out.uint32(crc32c(contents.written()));
  return start;
}

function pad(out: ByteWriter, alignment: number): void {
  out.zeros((alignment - (out.length % alignment)) % alignment);
}
