import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { randomInteger, randomItem, seededRandom } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { staleNaN } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { DedupAlgorithms, mergeReplicas } from './dedup.ts';

const SEEDS = 300;
const SCRAPES = 80;
const INTERVAL = 15_000;
const hints = [
  CounterReset.Unknown,
  CounterReset.Unknown,
  CounterReset.No,
  CounterReset.Yes,
  CounterReset.Gauge,
];

/** Replicas of a series that turns from float to histogram and back, at other times in each. */
function mixedReplicas(random: Random): SampleBuffer[] {
  return Array.from({ length: randomInteger(random, 2, 3) }, () => {
    const samples = new SampleBuffer();
    const phase = randomInteger(random, 0, INTERVAL - 1);
    let isHistogram = random.next() < 0.5;
    let gap = 0;
    for (let i = 0; i < SCRAPES; i++) {
      if (random.next() < 0.08) isHistogram = !isHistogram;
      if (random.next() < 0.04) gap = randomInteger(random, 1, 8);
      if (gap-- > 0) continue;
      const time = i * INTERVAL + phase;
      const value = random.next() < 0.03 ? staleNaN() : i + random.next();
      if (isHistogram) samples.pushHistogram(time, histogram(value, randomItem(random, hints)));
      else samples.pushFloat(time, value);
    }
    return samples;
  });
}

function histogram(sum: number, counterReset: CounterReset): FloatHistogram {
  return {
    counterReset,
    schema: 0,
    zeroThreshold: 0.001,
    zeroCount: 0,
    count: 10,
    sum,
    positiveSpans: [{ offset: 0, length: 1 }],
    positiveBuckets: Float64Array.of(10),
    negativeSpans: [],
    negativeBuckets: new Float64Array(),
    customValues: new Float64Array(),
  };
}

/** What a reader may see of a sample; under a counter function floats and hints may be others. */
function print(samples: SampleBuffer, i: number, isCounter: boolean): string {
  const one = samples.histograms?.[i];
  const stale = samples.isStaleAt(i) ? ' stale' : '';
  if (one === undefined) {
    return `${samples.times[i]} float${stale} ${isCounter ? '' : samples.values[i]}`;
  }
  const hint = one.counterReset === CounterReset.Gauge ? ' gauge' : '';
  return `${samples.times[i]} histogram${stale} ${one.sum} ${one.count}${hint}`;
}

function printAll(samples: SampleBuffer, isCounter: boolean): string[] {
  return Array.from({ length: samples.length }, (_, i) => print(samples, i, isCounter));
}

describe('replicas that turn from floats to histograms and back', () => {
  for (const algorithm of DedupAlgorithms) {
    for (const isCounter of [false, true]) {
      const reader = isCounter ? 'a counter function' : 'others';
      test(`${algorithm}, for ${reader}: every sample is one that a replica had`, () => {
        for (let seed = 0; seed < SEEDS; seed++) {
          const replicas = mixedReplicas(seededRandom(seed));
          const before = replicas.map((replica) => printAll(replica, false));
          const merged = new SampleBuffer();
          mergeReplicas(algorithm, replicas, { isCounter }, merged);
          const had = new Set(replicas.flatMap((replica) => printAll(replica, isCounter)));
          assert.ok(merged.length > SCRAPES / 3, `seed ${seed}: ${merged.length} samples`);
          for (let i = 0; i < merged.length; i++) {
            const shown = print(merged, i, isCounter);
            assert.ok(had.has(shown), `seed ${seed}: nobody had ${shown}`);
            assert.ok(i === 0 || merged.times[i]! > merged.times[i - 1]!, `seed ${seed}: in order`);
          }
          const after = replicas.map((replica) => printAll(replica, false));
          assert.deepEqual(after, before, 'replicas are left as they are');
        }
      });
    }
  }
});
