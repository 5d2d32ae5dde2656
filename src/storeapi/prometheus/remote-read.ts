import { readAll } from '#/http/client.ts';
import type { HttpRequest, HttpResponse } from '#/http/client.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { compressBlock, uncompressBlock } from '#/lib/snappy.ts';
import { FrameParser } from './frames.ts';
import { decodeChunkedRead, decodeSampledRead, encodeReadRequest } from './read-codec.ts';
import type { ChunkedSeries, ReadQuery, SampledSeries } from './read-codec.ts';

/** An answer to a remote read, in the form that the server chose. */
export type ReadAnswer =
  | {
      readonly kind: 'chunks';
      /**
       * Sorted by the server's labels; a series may go on in the next item. Batches are as the
       * network delivers. Read them to the end, or leave the loop.
       */
      readonly batches: AsyncIterable<readonly ChunkedSeries[]>;
    }
  | { readonly kind: 'samples'; readonly series: readonly SampledSeries[] };

/** A sampled answer is in memory as a whole, so it must not be longer. */
const SAMPLES_LIMIT_BYTES = 512 * 1024 * 1024;

/** The request for `query`, to be sent to `url`. */
export function readRequest(url: URL, query: ReadQuery): HttpRequest {
  return {
    url,
    method: 'POST',
    body: compressBlock(encodeReadRequest(query)),
    headers: {
      'content-encoding': 'snappy',
      'content-type': 'application/x-stream-protobuf',
      'x-prometheus-remote-read-version': '0.1.0',
    },
    repeatable: true,
  };
}

/** @throws CorruptionError if the answer is of no known type. */
export async function readAnswer(response: HttpResponse): Promise<ReadAnswer> {
  const type = response.headers['content-type'] ?? '';
  if (type.startsWith('application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse')) {
    return { kind: 'chunks', batches: readFrames(response) };
  }
  const body = await readAll(response, SAMPLES_LIMIT_BYTES);
  if (!type.startsWith('application/x-protobuf')) {
    throw new CorruptionError(
      `the answer has the content type "${type}", which is none of remote read`,
    );
  }
  return {
    kind: 'samples',
    series: decodeSampledRead(uncompressBlock(body, SAMPLES_LIMIT_BYTES)),
  };
}

async function* readFrames(response: HttpResponse): AsyncGenerator<ChunkedSeries[], void> {
  const parser = new FrameParser();
  for await (const piece of response.body) {
    const batch: ChunkedSeries[] = [];
    parser.push(piece, (frame) => void batch.push(...decodeChunkedRead(frame)));
    if (batch.length > 0) yield batch;
  }
  parser.end();
}
