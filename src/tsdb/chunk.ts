/** The encoding byte of a chunk (tsdb/chunkenc/chunk.go in Prometheus; 255 is Thanos's). */
export const ChunkEncoding = {
  None: 0,
  Xor: 1,
  Histogram: 2,
  FloatHistogram: 3,
  Xor2: 4,
  HistogramSt: 5,
  FloatHistogramSt: 6,
  Aggregate: 255,
} as const;
export type ChunkEncoding = (typeof ChunkEncoding)[keyof typeof ChunkEncoding];
