import type { AggregateChunk } from '#/storeapi/store.ts';
import type { ChunkPart } from './seams.ts';

/**
 * Splits chunks in time order into lanes without overlaps: each goes to the first lane that ended
 * before it begins (NewOverlapSplit in pkg/dedup/iter.go of Thanos).
 */
export function splitOverlaps(chunks: readonly ChunkPart[]): (readonly ChunkPart[])[] {
  return overlap(chunks) ? splitIntoLanes(chunks) : [chunks];
}

/** Nearly always false, and then nothing need be copied. */
function overlap(chunks: readonly AggregateChunk[]): boolean {
  for (let i = 1; i < chunks.length; i++) {
    if (chunks[i]!.mint <= chunks[i - 1]!.maxt) return true;
  }
  return chunks.length === 0;
}

function splitIntoLanes(chunks: readonly ChunkPart[]): ChunkPart[][] {
  const lanes: ChunkPart[][] = [];
  for (const chunk of chunks) {
    const lane = lanes.find((candidate) => candidate.at(-1)!.maxt < chunk.mint);
    if (lane === undefined) lanes.push([chunk]);
    else lane.push(chunk);
  }
  return lanes;
}

export function isDownsampled(chunks: readonly AggregateChunk[]): boolean {
  return chunks.some(({ raw }) => raw === undefined);
}
