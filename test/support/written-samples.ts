import assert from 'node:assert/strict';
import { compressBlock } from '#/lib/snappy.ts';
import { Histogram, WriteRequest } from '#/proto/remote.ts';
import type { PrometheusServer } from './servers.ts';

/** How many samples `writeSamples()` writes, how far apart, and which of them is stale. */
export const STEP_MS = 1000;
export const SAMPLES = 500;
export const STALE_AT = 300;

/** Floats (with a stale marker), native histograms and an exemplar, through remote write. */
export async function writeSamples(prometheus: PrometheusServer, start: number): Promise<void> {
  const times = Array.from({ length: SAMPLES }, (_, i) => start + i * STEP_MS);
  const series = (name: string, part: object) => ({
    labels: [
      { name: '__name__', value: name },
      { name: 'pod', value: 'a' },
    ],
    samples: [],
    exemplars: [],
    histograms: [],
    ...part,
  });
  const samples = times.map((timestamp, i) => ({
    timestamp,
    value: i === STALE_AT ? staleNaN : Math.sin(i) * 1e6,
  }));
  const histograms = times.map((timestamp, i) =>
    Histogram.fromPartial({
      count: { $case: 'countInt', value: BigInt(3 * i + 3) },
      sum: i / 4,
      schema: 2,
      zeroThreshold: 0.001,
      zeroCount: { $case: 'zeroCountInt', value: BigInt(i + 1) },
      positiveSpans: [{ offset: 1, length: 2 }],
      positiveDeltas: [BigInt(i + 1), 0n],
      timestamp,
    } as never),
  );
  const body = WriteRequest.encode({
    timeseries: [
      series('written_floats', {
        samples,
        exemplars: [
          { labels: [{ name: 'trace', value: 'x' }], value: 42.5, timestamp: start + 5000 },
        ],
      }),
      series('written_histograms', { histograms }),
    ],
    metadata: [],
  }).finish();
  const response = await fetch(`${prometheus.url}/api/v1/write`, {
    method: 'POST',
    body: Buffer.from(compressBlock(body)),
    headers: {
      'content-encoding': 'snappy',
      'content-type': 'application/x-protobuf',
      'x-prometheus-remote-write-version': '0.1.0',
    },
  });
  assert.equal(response.status, 204, await response.text());
}

const staleNaN = new Float64Array(new Uint32Array([2, 0x7ff00000]).buffer)[0]!;
