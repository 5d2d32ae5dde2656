/**
 * Blocks that we write, in the hands of Prometheus's own programs: promtool lists and checks them, a
 * server answers from them what we answer.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { nodeDisk } from '#/lib/disk.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { setStale } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { BlockQueryable } from '#/tsdb/block-queryable.ts';
import { Block } from '#/tsdb/block.ts';
import { findProgram, getJson, startPrometheus, temporaryDirectory } from './support/servers.ts';

const run = promisify(execFile);
const HOUR_MS = 3_600_000;

/** Two hours, aligned as Prometheus aligns its blocks, not long ago. */
const minTime = Math.floor(Date.now() / (2 * HOUR_MS)) * 2 * HOUR_MS - 4 * HOUR_MS;
const maxTime = minTime + 2 * HOUR_MS;

async function writeBlock(directory: string): Promise<string> {
  const random = seededRandom(17);
  const builder = new BlockBuilder();
  for (let i = 0; i < 50; i++) {
    const labels = {
      __name__: 'demo_total',
      instance: `host-${i}`,
      'ünï.code': `😀${'\uffff'}${i % 3}`,
    };
    const samples = builder.samples(Labels.fromObject(labels));
    let value = 0;
    for (let time = minTime; time < maxTime; time += 15_000) {
      samples.pushFloat(
        time + randomInteger(random, 0, 500),
        (value += randomInteger(random, 0, 9)),
      );
    }
    if (i % 10 === 0) {
      samples.pushFloat(maxTime - 1, 0);
      setStale(samples.halves, samples.length - 1);
    }
  }
  const histograms = builder.samples(Labels.fromObject({ __name__: 'demo_seconds' }));
  for (let i = 0; i < 400; i++) histograms.pushHistogram(minTime + i * 15_000, histogram(i % 150));
  const ulid = newUlid(maxTime, random);
  await builder.write(nodeDisk, directory, { ulid, minTime, maxTime });
  return ulid;
}

function histogram(i: number): FloatHistogram {
  const wide = i > 30;
  return {
    counterReset: CounterReset.Unknown,
    schema: 2,
    zeroThreshold: 2 ** -128,
    zeroCount: i,
    count: (wide ? 8 : 4) * i,
    sum: i * 2.5,
    positiveSpans: wide
      ? [
          { offset: -1, length: 2 },
          { offset: 3, length: 1 },
        ]
      : [{ offset: -1, length: 2 }],
    positiveBuckets: wide ? Float64Array.of(i, 2 * i, 4 * i) : Float64Array.of(i, 2 * i),
    negativeSpans: [],
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
  };
}

const promtool = findProgram('promtool');
test(
  'promtool lists and analyzes a block that we wrote',
  { skip: promtool === undefined && 'no promtool on this machine' },
  async () => {
    await using directory = await temporaryDirectory();
    const ulid = await writeBlock(directory.path);
    const list = await run(promtool!, ['tsdb', 'list', directory.path]);
    assert.match(list.stdout, new RegExp(`${ulid} .* 24405 +\\S+ +51 `));
    const analysis = await run(promtool!, ['tsdb', 'analyze', directory.path]);
    assert.match(analysis.stdout, /Series: 51\nLabel names: 3\n/);
  },
);

const prometheus = findProgram('prometheus');
test(
  'a Prometheus that has our block answers what we answer',
  { skip: prometheus === undefined && 'no prometheus on this machine' },
  async () => {
    await using directory = await temporaryDirectory();
    const data = join(directory.path, 'data');
    const ulid = await writeBlock(data);
    await using server = await startPrometheus({
      directory: directory.path,
      flags: ['--storage.tsdb.retention.time=1000d'],
    });
    const ours = await answers(await Block.open(nodeDisk, join(data, ulid)));
    const time = maxTime / 1000;
    for (const [metric, matrix] of ours) {
      const query = encodeURIComponent(`${metric}[3h]`);
      const reply = (await getJson(
        `${server.url}/api/v1/query?query=${query}&time=${time}`,
      )) as Reply;
      const { result } = reply.data;
      assert.deepEqual(
        result.map((series) => series.metric),
        matrix.map(({ labels }) => labels),
      );
      for (const [i, series] of result.entries()) {
        assert.deepEqual((series.values ?? []).map(number), matrix[i]!.values);
        const counts = (series.histograms ?? []).map(([seconds, { count }]) =>
          number([seconds, count]),
        );
        assert.deepEqual(counts, matrix[i]!.counts);
      }
    }
  },
);

interface Reply {
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly values?: readonly [number, string][];
      readonly histograms?: readonly [number, { readonly count: string }][];
    }[];
  };
}

function number([seconds, value]: [number, string]): [number, number] {
  return [Math.round(seconds * 1000), Number(value)];
}

/** What we read for each metric: per series the floats, and the counts of the histograms. */
async function answers(block: Block) {
  const queryable = new BlockQueryable([block]);
  const matrices = ['demo_total', 'demo_seconds'].map(async (metric) => {
    const { series } = await queryable.select(
      {
        matchers: [newMatcher('=', '__name__', metric)],
        mint: minTime,
        maxt: maxTime,
        hints: { stepMs: 0, rangeMs: 0, func: '', limit: 0 },
      },
      { signal: new AbortController().signal, budget: unlimitedBudget() },
    );
    const rows = series.map((one) => {
      const samples = new SampleBuffer();
      one.read(minTime, maxTime, samples);
      const values: [number, number][] = [];
      const counts: [number, number][] = [];
      for (let i = 0; i < samples.length; i++) {
        const histogramAt = samples.histograms?.[i];
        if (samples.isStaleAt(i)) continue;
        if (histogramAt !== undefined) counts.push([samples.times[i]!, histogramAt.count]);
        else values.push([samples.times[i]!, samples.values[i]!]);
      }
      return { labels: one.labels.toObject(), values, counts };
    });
    return [metric, rows] as const;
  });
  return Promise.all(matrices);
}
