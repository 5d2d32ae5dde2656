import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { downsampleBlock } from '#/downsample/downsample-block.ts';
import { isWindowDeleted } from '#/downsample/delete-windows.ts';
import { readAggregateChunk } from '#/downsample/aggregate-chunk.ts';
import { BadInputError } from '#/lib/errors.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { CounterReset } from '#/model/histogram.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { ChunkEncoding, decodeChunk } from '#/tsdb/chunk.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import { allTime, deletedRanges, plainDeletion } from '#/tsdb/series-deletion.ts';
import type { SeriesDeletion } from '#/tsdb/series-deletion.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { rewriteBlock } from './rewrite-block.ts';
import type { ChangeLog } from './rewrite-block.ts';
import { successorIdentity } from './rewrite-job.ts';
import type { SeriesEdits } from './series-edits.ts';

const MINUTE = 60_000;
const random = seededRandom(5);
const is = (name: string, value: string) => newMatcher('=', name, value);

interface Contents {
  readonly [series: string]: readonly number[];
}

function seriesLabels(name: string): Labels {
  const [metric = '', instance = ''] = name.split('/');
  return Labels.fromObject({ __name__: metric, instance });
}

async function writeBlock(disk: MemoryDisk, add: (builder: BlockBuilder) => void): Promise<Block> {
  const builder = new BlockBuilder();
  add(builder);
  const ulid = newUlid(1000 * MINUTE, random);
  const thanos = { ...emptyThanosMeta, labels: { cluster: 'a' } };
  await builder.write(disk, '/in', { ulid, minTime: 0, maxTime: 1000 * MINUTE, thanos });
  return Block.open(disk, `/in/${ulid}`);
}

function floatBlock(disk: MemoryDisk, contents: Contents): Promise<Block> {
  return writeBlock(disk, (builder) => {
    for (const [name, times] of Object.entries(contents)) {
      const samples = builder.samples(seriesLabels(name));
      for (const time of times) samples.pushFloat(time, time / 2);
    }
  });
}

async function rewritten(
  disk: MemoryDisk,
  block: Block,
  edits: Partial<SeriesEdits>,
  log?: ChangeLog,
) {
  const ulid = newUlid(999 * MINUTE, random);
  const result = await rewriteBlock({
    block,
    edits: { relabeling: [], deletions: [], ...edits },
    identity: successorIdentity(ulid, block.meta, {}),
    disk,
    directory: '/out',
    ...(log === undefined ? {} : { changes: log }),
  });
  if (result.meta === undefined) return { result, block: undefined };
  const made = await Block.open(disk, `/out/${ulid}`);
  assert.deepEqual(healthIssues(await indexHealth(made.index, made.meta)), []);
  return { result, block: made };
}

async function contentsOf(block: Block | undefined): Promise<Record<string, number[]>> {
  const contents: Record<string, number[]> = {};
  if (block === undefined) return contents;
  for (const { labels, chunks } of (await Array.fromAsync(streamSeries(block))).flat()) {
    const samples = new SampleBuffer();
    for (const chunk of chunks) decodeChunk(chunk, -Infinity, Infinity, samples);
    const name = `${labels.get('__name__')}/${labels.get('instance')}`;
    contents[name] = [...samples.times.subarray(0, samples.length)];
  }
  return contents;
}

describe('deletions', () => {
  test('exactly the selected samples go, and what nothing is deleted from stays as it is', async () => {
    const names = ['up/a', 'up/b', 'down/a', 'down/b', 'load/a'];
    const times = fc.uniqueArray(fc.nat({ max: 400 }), { minLength: 1, maxLength: 300 });
    const interval = fc.record({ mint: fc.nat({ max: 400 }), length: fc.nat({ max: 300 }) });
    const deletion = fc.record({
      matcher: fc.constantFrom(is('__name__', 'up'), is('instance', 'a'), is('x', '')),
      except: fc.constantFrom([], [[is('instance', 'b')]], [[is('__name__', 'down')]]),
      intervals: fc.oneof(fc.constant(undefined), fc.array(interval, { minLength: 1 })),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(...names.map(() => times)),
        fc.array(deletion, { maxLength: 3 }),
        async (all, asked) => {
          const disk = new MemoryDisk();
          const contents = Object.fromEntries(
            names.map((name, i) => [
              name,
              all[i]!.toSorted((a, b) => a - b).map((time) => time * MINUTE),
            ]),
          );
          const deletions = asked.map(({ matcher, except, intervals }): SeriesDeletion => ({
            matchers: [matcher],
            except,
            intervals: intervals?.map(({ mint, length }) => ({
              mint: mint * MINUTE,
              maxt: (mint + length) * MINUTE,
            })) ?? [allTime],
          }));
          const want = Object.fromEntries(
            Object.entries(contents)
              .map(([name, series]) => {
                const gone = deletedRanges(seriesLabels(name), deletions);
                const left = series.filter(
                  (time) => !gone.some(({ mint, maxt }) => mint <= time && maxt >= time),
                );
                return [name, left] as const;
              })
              .filter(([, left]) => left.length > 0),
          );
          const block = await floatBlock(disk, contents);
          const made = await rewritten(disk, block, { deletions: deletions.map(plainDeletion) });
          const { kind, seriesDropped, samplesDropped } = made.result;
          const count = (of: Contents) => Object.values(of).reduce((n, one) => n + one.length, 0);
          const dropped = count(contents) - count(want);
          if (dropped === 0) assert.equal(kind, 'unchanged');
          else {
            assert.equal(kind, Object.keys(want).length === 0 ? 'empty' : 'rewritten');
            assert.deepEqual(await contentsOf(made.block), want);
            assert.equal(samplesDropped, dropped);
            assert.equal(seriesDropped, names.length - Object.keys(want).length);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('texts of series that are gone are gone', async () => {
    const disk = new MemoryDisk();
    const block = await floatBlock(disk, { 'up/secret': [1, 2], 'up/a': [1, 2] });
    const deletions = [{ matchers: [is('instance', 'secret')], intervals: [allTime] }];
    const made = await rewritten(disk, block, { deletions });
    assert.deepEqual([...made.block!.index.symbols], ['__name__', 'a', 'instance', 'up']);
    assert.deepEqual(await disk.list('/out'), [
      { name: made.result.meta!.ulid, kind: 'directory' },
    ]);
  });

  test('a look at the index suffices where no series is selected, or all are', async () => {
    const disk = new MemoryDisk();
    const block = await floatBlock(disk, { 'up/a': [1, 2], 'up/b': [1, 2] });
    await disk.remove(`/in/${block.meta.ulid}/chunks`);
    const none = await rewritten(disk, block, {
      deletions: [{ matchers: [is('instance', 'c')], intervals: [allTime] }],
    });
    assert.equal(none.result.kind, 'unchanged');
    const all = await rewritten(disk, block, {
      deletions: [{ matchers: [is('__name__', 'up')], intervals: [allTime] }],
    });
    assert.equal(all.result.kind, 'empty');
    assert.equal(all.result.samplesDropped, 4);
  });

  test('native histograms keep what is not deleted', async () => {
    const disk = new MemoryDisk();
    const block = await writeBlock(disk, (builder) => {
      const samples = builder.samples(seriesLabels('latency/a'));
      for (let i = 0; i < 300; i++) {
        samples.pushHistogram(i * MINUTE, {
          schema: 0,
          zeroThreshold: 0,
          zeroCount: i,
          count: i,
          sum: i,
          positiveSpans: [],
          positiveBuckets: new Float64Array(),
          negativeSpans: [],
          negativeBuckets: new Float64Array(),
          customValues: new Float64Array(),
          counterReset: CounterReset.Unknown,
        });
      }
    });
    const range = { mint: 10 * MINUTE, maxt: 250 * MINUTE };
    const made = await rewritten(disk, block, {
      deletions: [{ matchers: [is('__name__', 'latency')], intervals: [range] }],
    });
    const left = (await contentsOf(made.block))['latency/a']!;
    assert.equal(left.length, 10 + 49);
    assert.ok(left.every((time) => time < range.mint || time > range.maxt));
    assert.equal(made.block!.meta.stats.numHistogramSamples, 59);
  });

  for (const toMs of [Resolution.FiveMinutes, Resolution.OneHour]) {
    test(`windows of ${toMs} ms go as a whole or not at all`, async () => {
      const disk = new MemoryDisk();
      const times = Array.from({ length: 900 }, (_, i) => i * MINUTE);
      let block = await floatBlock(disk, { 'up/a': times, 'up/b': times });
      for (const step of [Resolution.FiveMinutes, Resolution.OneHour].filter((ms) => ms <= toMs)) {
        const ulid = newUlid(step, random);
        await downsampleBlock({ block, toMs: step, ulid, disk, directory: '/fine' });
        block = await Block.open(disk, `/fine/${ulid}`);
      }
      const intervals = [{ mint: 100 * MINUTE, maxt: 500 * MINUTE }];
      const deletions = [{ matchers: [is('instance', 'a')], intervals }];
      const before = await windowsOf(block);
      const made = await rewritten(disk, block, { deletions });
      const after = await windowsOf(made.block!);
      assert.deepEqual(after['b'], before['b']);
      const want = before['a']!.filter((end) => !isWindowDeleted(end, intervals, toMs));
      assert.deepEqual(after['a'], want);
      assert.ok(want.length < before['a']!.length);
      const all = { matchers: [is('instance', 'a')], intervals: [{ mint: 1, maxt: 900 * MINUTE }] };
      const almost = await rewritten(disk, block, { deletions: [all] });
      assert.equal(
        (await windowsOf(almost.block!))['a']!.length,
        1,
        'the first window began before',
      );
    });
  }

  test('changes are told in the order of series', async () => {
    const disk = new MemoryDisk();
    const block = await floatBlock(disk, { 'up/a': [10, 20, 30], 'up/b': [10], 'up/c': [10, 40] });
    const lines: string[] = [];
    const log = logTo(lines);
    const intervals = [
      { mint: 15, maxt: 25 },
      { mint: 30, maxt: 100 },
    ];
    const result = await rewriteBlock({
      block,
      edits: {
        relabeling: [],
        deletions: [{ matchers: [is('__name__', 'up')], intervals }],
      },
      identity: undefined,
      disk,
      directory: '/out',
      changes: log,
    });
    assert.equal(result.kind, 'rewritten');
    assert.deepEqual(lines, ['deleted up/a 15-25 30-30', 'deleted up/c 15-25 30-40']);
    assert.equal(await disk.stat('/out'), undefined);
  });
});

describe('relabeling', () => {
  test('series come in the order of their new labels, and equal ones become one', async () => {
    const disk = new MemoryDisk();
    const block = await floatBlock(disk, {
      'up/a': [10, 20],
      'up/b': [15, 20, 25],
      'zero/a': [1],
      'down/c': [5],
    });
    const lines: string[] = [];
    const made = await rewritten(
      disk,
      block,
      {
        relabeling: [
          { action: 'labeldrop', regex: 'instance' },
          {
            source_labels: ['__name__'],
            regex: 'zero',
            target_label: '__name__',
            replacement: 'a',
          },
          { source_labels: ['__name__'], regex: 'down', action: 'drop' },
        ],
        deletions: [{ matchers: [is('__name__', 'a')], intervals: [allTime] }],
      },
      logTo(lines),
    );
    assert.deepEqual(await contentsOf(made.block), { 'up/': [10, 15, 20, 25] });
    assert.deepEqual(lines, [
      'deleted down/c 5-5',
      'up/a -> up/',
      'up/b -> up/',
      'zero/a -> a/',
      'deleted a/ 1-1',
    ]);
    assert.equal(made.result.seriesDropped, 2);
  });

  test('downsampled series that overlap cannot become one', async () => {
    const disk = new MemoryDisk();
    const times = Array.from({ length: 900 }, (_, i) => i * MINUTE);
    const raw = await floatBlock(disk, { 'up/a': times, 'up/b': times });
    const ulid = newUlid(1, random);
    await downsampleBlock({
      block: raw,
      toMs: Resolution.FiveMinutes,
      ulid,
      disk,
      directory: '/5',
    });
    const block = await Block.open(disk, `/5/${ulid}`);
    const relabeling = [{ action: 'labeldrop', regex: 'instance' }];
    await assert.rejects(rewritten(disk, block, { relabeling }), (thrown: Error) => {
      assert.ok(thrown instanceof BadInputError);
      assert.match(thrown.message, /one series \{__name__="up"\} of several that overlap/);
      return true;
    });
  });
});

function logTo(lines: string[]): ChangeLog {
  const name = (labels: Labels) => `${labels.get('__name__')}/${labels.get('instance')}`;
  return {
    deleted: (labels, ranges) => {
      const texts = ranges.map(({ mint, maxt }) => `${mint}-${maxt}`);
      lines.push(`deleted ${name(labels)} ${texts.join(' ')}`);
    },
    relabeled: (from, to) => void lines.push(`${name(from)} -> ${name(to)}`),
  };
}

/** The ends of the windows of each instance's series. */
async function windowsOf(block: Block): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  for (const { labels, chunks } of (await Array.fromAsync(streamSeries(block))).flat()) {
    const samples = new SampleBuffer();
    for (const chunk of chunks) {
      assert.equal(chunk.encoding, ChunkEncoding.Aggregate);
      decodeChunk(readAggregateChunk(chunk.data).sum!, -Infinity, Infinity, samples);
    }
    found[labels.get('instance')] = [...samples.times.subarray(0, samples.length)];
  }
  return found;
}
