import type { Method } from '#/grpc/method.ts';
import { assert } from '#/lib/errors.ts';
import { StoreDefinition } from '#/proto/store.ts';
import type { SeriesRequest } from '#/proto/store.ts';
import type { SeriesBatch } from '../store.ts';
import { SeriesDecoder } from './series-decoder.ts';
import { SeriesEncoder } from './series-encoder.ts';
import type { ChunkHash } from './series-encoder.ts';

/** What goes out together: warnings, series as one frame if there are several, and stats. */
export type SeriesMethod = Method<SeriesRequest, SeriesBatch> & {
  readonly requestStream: false;
  readonly responseStream: true;
};

/** `thanos.Store/Series` with the codec that goes straight between the wire and `SeriesBatch`. */
export function seriesMethod(hash?: ChunkHash): SeriesMethod {
  const encoder = new SeriesEncoder(hash);
  const decoder = new SeriesDecoder();
  return {
    ...StoreDefinition.methods.series,
    responseType: {
      encode: () => assertNever(),
      decode: (frame) => decoder.decode(frame),
      write({ series, warnings, stats }, out) {
        for (const warning of warnings) encoder.warning(warning, out);
        if (series.length === 1) encoder.series(series[0]!, out);
        else if (series.length > 1) encoder.batch(series, out);
        if (stats !== undefined) encoder.stats(stats, out);
      },
    },
  };
}

function assertNever(): never {
  assert(false, 'answers of Series are written, not encoded');
  throw new Error('unreachable');
}
