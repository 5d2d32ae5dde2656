import { Aggregates } from './store.ts';
import type { AggregateChunk, EncodedChunk, StoreSeries } from './store.ts';

/**
 * Puts what several answers, or several pieces of one, hold of a series together: chunks in time order,
 * without those that are there already.
 */
export function combineSeries(pieces: readonly StoreSeries[]): StoreSeries {
  if (pieces.length === 1) return pieces[0]!;
  const all: AggregateChunk[] = [];
  for (const piece of pieces) for (const chunk of piece.chunks) all.push(chunk);
  if (follow(all)) return { labels: pieces[0]!.labels, chunks: all };
  all.sort(compareChunks);
  const chunks: AggregateChunk[] = [];
  for (const chunk of all) if (!isHeld(chunks, chunk)) chunks.push(chunk);
  return { labels: pieces[0]!.labels, chunks };
}

/** Whether each chunk begins after the one before it has begun, so that no two can be the same. */
function follow(chunks: readonly AggregateChunk[]): boolean {
  for (let i = 1; i < chunks.length; i++) {
    if (chunks[i]!.mint <= chunks[i - 1]!.mint) return false;
  }
  return true;
}

/** By time, then by content, so that the result does not depend on who answered first. */
function compareChunks(a: AggregateChunk, b: AggregateChunk): number {
  return a.mint - b.mint || a.maxt - b.maxt || compareParts(a, b);
}

function compareParts(a: AggregateChunk, b: AggregateChunk): number {
  for (const name of Aggregates) {
    const order = comparePart(a[name], b[name]);
    if (order !== 0) return order;
  }
  return 0;
}

function comparePart(a: EncodedChunk | undefined, b: EncodedChunk | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return a.encoding - b.encoding || Buffer.compare(a.data, b.data);
}

/**
 * Whether the last of the sorted chunks have everything that `chunk` has. Bytes are compared, not
 * hashes of them: only chunks of the very same time range come so far, and comparing is faster.
 */
function isHeld(chunks: readonly AggregateChunk[], chunk: AggregateChunk): boolean {
  for (let i = chunks.length - 1; i >= 0; i--) {
    const held = chunks[i]!;
    if (held.mint !== chunk.mint || held.maxt !== chunk.maxt) return false;
    const parts = Aggregates.filter((name) => chunk[name] !== undefined);
    if (parts.every((name) => comparePart(held[name], chunk[name]) === 0)) return true;
  }
  return false;
}
