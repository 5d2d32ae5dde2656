import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { FloatHistogram } from '#/model/histogram.ts';
import { staleNaN } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { mergeReplicas } from './dedup.ts';
import type { DedupAlgorithm } from './dedup.ts';

/** A time with a float, the bits of a NaN, or a histogram told by its count. */
type Recorded = readonly [number, number | string | { readonly count: number }];

interface Case {
  readonly replicas: readonly (readonly Recorded[])[];
  readonly penalty: readonly Recorded[];
  readonly penaltyOfCounter: readonly Recorded[];
  readonly chain: readonly Recorded[];
}

/** Answers of dedup.NewSeriesSet of Thanos 0.43 to random replicas, markers and histograms included. */
const recorded = join(import.meta.dirname, 'testdata/thanos-0.43.json');
const cases = JSON.parse(readFileSync(recorded, 'utf8')) as readonly Case[];

describe('mergeReplicas()', () => {
  test('penalty equals the answers of Thanos', () => {
    for (const { replicas, penalty } of cases) {
      assert.deepEqual(merged('penalty', replicas, false), readable(penalty));
    }
  });

  test('penalty of a counter equals the answers of Thanos', () => {
    for (const { replicas, penaltyOfCounter } of cases) {
      assert.deepEqual(merged('penalty', replicas, true), readable(penaltyOfCounter));
    }
  });

  test('chain equals the answers of Thanos', () => {
    for (const { replicas, chain } of cases) {
      assert.deepEqual(merged('chain', replicas, false), readable(chain));
    }
  });
});

function merged(
  algorithm: DedupAlgorithm,
  replicas: readonly (readonly Recorded[])[],
  isCounter: boolean,
): string[] {
  const into = new SampleBuffer(4);
  mergeReplicas(algorithm, replicas.map(buffer), { isCounter }, into);
  return Array.from({ length: into.length }, (_, i) => {
    const histogram = into.histograms?.[i];
    if (histogram !== undefined) return `${into.times[i]} count ${histogram.count}`;
    return `${into.times[i]} ${into.isStaleAt(i) ? 'stale' : into.values[i]}`;
  });
}

function readable(samples: readonly Recorded[]): string[] {
  return samples.map(([time, value]) => {
    if (typeof value === 'number') return `${time} ${value}`;
    return typeof value === 'string' ? `${time} stale` : `${time} count ${value.count}`;
  });
}

function buffer(samples: readonly Recorded[]): SampleBuffer {
  const into = new SampleBuffer(4);
  for (const [time, value] of samples) {
    if (typeof value === 'number') into.pushFloat(time, value);
    else if (typeof value === 'string') into.pushFloat(time, staleNaN());
    else into.pushHistogram(time, histogramOf(value.count));
  }
  return into;
}

function histogramOf(count: number): FloatHistogram {
  return {
    counterReset: 0,
    schema: 0,
    zeroThreshold: 0,
    zeroCount: 0,
    count,
    sum: 0,
    positiveSpans: [],
    positiveBuckets: new Float64Array(0),
    negativeSpans: [],
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
  };
}
