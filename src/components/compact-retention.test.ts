import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_DOWNSAMPLE_AGES } from '#/compact/downsample-plan.ts';
import { parseRetentionRules } from '#/compact/retention-rules-config.ts';
import { FaultAt } from '#/lib/faults.ts';
import type { Fault } from '#/lib/faults.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { appliedDeletions } from '#/tsdb/block-rewrites.ts';
import type { CompactConfig } from './compact.ts';
import { CompactWorld, HOUR_MS, START_MS } from './testing/compact-world.ts';

const DAY_MS = 24 * HOUR_MS;

function rules(text: string, rest: CompactConfig['retentions'] = new Map()) {
  return parseRetentionRules('--retention.rules', text, rest);
}

/** At so many days after the end of a block of two days from `START_MS`. */
async function worldAt(days: number, series = ['up', 'job:up', 'down']): Promise<CompactWorld> {
  const world = new CompactWorld();
  await world.addBlock({ from: 0, to: 48, series, stepMs: 1_800_000 });
  await world.clock.advance(START_MS + 48 * HOUR_MS + days * DAY_MS + 1 - world.clock.now());
  return world;
}

/** The series of every block that is not marked, with its resolution in front. */
async function seriesOf(world: CompactWorld): Promise<string[]> {
  const found: string[] = [];
  for (const { ulid, thanos } of await world.blocks()) {
    const block = await world.open(ulid);
    const names = (await block.allSeries()).map(({ labels }) => labels.get('__name__'));
    found.push(`${(thanos?.downsample.resolution ?? 0) / 60_000}: ${names.join(' ')}`);
  }
  return found;
}

const RULES = `
- match: '{__name__=~".*:.*"}'
  retention: 5y
- match: 'up{cluster="a"}'
  retention: 50d
`;

describe('retention by rules', () => {
  test('each boundary takes its series, once, and the last one the block', async () => {
    const retentions = new Map([[Resolution.Raw, 70 * DAY_MS]]);
    const config = { retentions, retentionRules: rules(RULES, retentions) };
    const world = await worldAt(49);
    await world.compact(config);
    assert.deepEqual(await seriesOf(world), ['0: down job:up up']);
    const [before] = await world.blocks();
    await world.clock.advance(DAY_MS);
    await world.compact(config);
    assert.deepEqual(await seriesOf(world), ['0: down job:up']);
    const [after] = await world.blocks();
    assert.deepEqual(after!.compaction.sources, before!.compaction.sources);
    assert.deepEqual(
      after!.compaction.parents.map(({ ulid }) => ulid),
      [before!.ulid],
    );
    assert.equal(appliedDeletions(after!).size, 1);
    await world.compact(config);
    assert.equal((await world.blocks())[0]!.ulid, after!.ulid, 'nothing is left to do');
    await world.clock.advance(20 * DAY_MS);
    await world.compact(config);
    assert.deepEqual(await seriesOf(world), ['0: job:up']);
    await world.clock.advance(5 * 365 * DAY_MS);
    await world.compact(config);
    assert.deepEqual(await seriesOf(world), []);
  });

  test('a block without such series is looked at once, and never downloaded', async () => {
    const world = await worldAt(60, ['job:up', 'down']);
    const retentionRules = rules(RULES);
    const reads: string[] = [];
    world.bucket.faults = (operation) => {
      if (/^bucket\.read .*\/(index|chunks)/.test(operation)) reads.push(operation);
      return undefined;
    };
    await world.compact({ retentionRules });
    assert.ok(reads.length > 0);
    assert.ok(
      reads.every((name) => name.endsWith('/index')),
      reads.join(' '),
    );
    reads.length = 0;
    await world.compact({ retentionRules });
    assert.deepEqual(reads, []);
    assert.deepEqual(await seriesOf(world), ['0: down job:up']);
    await world.compact({ retentionRules: rules(`- {match: down, retention: 1d}\n${RULES}`) });
    assert.deepEqual(await seriesOf(world), ['0: job:up'], 'other rules are another matter');
  });

  test('a block with nothing but such series goes without a download', async () => {
    const world = await worldAt(60, ['up']);
    await world.compact({ retentionRules: rules(RULES) });
    assert.deepEqual(await world.blocks(), []);
    const text = await world.metrics.text();
    assert.match(text, /hindsight_compact_rewrite_dropped_series_total\{reason="retention"\} 1\n/);
  });

  test('raw series go when they are downsampled, and stay where they are wanted', async () => {
    const world = await worldAt(45);
    const retentionRules = rules(`
- match: up
  resolution_raw: 12h
  resolution_5m: 1y
- match: down
  retention: 12h
`);
    const config = { retentionRules, downsampleAges: DEFAULT_DOWNSAMPLE_AGES };
    await world.compact(config);
    assert.deepEqual(await seriesOf(world), ['0: job:up', '5: job:up up']);
    await world.compact(config);
    assert.deepEqual(await seriesOf(world), ['0: job:up', '5: job:up up'], 'not downsampled again');
  });

  test('what was downsampled and is past its time is not downsampled again', async () => {
    for (const [series, keeping] of [
      [['up', 'job:up'], 'job:up'],
      [['up', 'down'], undefined],
    ] as const) {
      const world = await worldAt(45, [...series]);
      const downsampleAges = DEFAULT_DOWNSAMPLE_AGES;
      const retentions = new Map([[Resolution.FiveMinutes, 50 * DAY_MS]]);
      const text = `- {match: '{__name__=~".*:.*"}', resolution_5m: 5y, resolution_1h: 1d}`;
      const config = { downsampleAges, retentions, retentionRules: rules(text, retentions) };
      const oneHour = { ...config, retentions: new Map([...retentions, [3_600_000, DAY_MS]]) };
      await world.compact(oneHour);
      await world.clock.advance(10 * DAY_MS);
      await world.compact(oneHour);
      const raw = `0: ${[...series].sort().join(' ')}`;
      const want = keeping === undefined ? [raw] : [raw, `5: ${keeping}`];
      assert.deepEqual(await seriesOf(world), want);
      await world.clock.advance(3 * DAY_MS);
      await world.compact(oneHour);
      assert.deepEqual(await seriesOf(world), want);
      assert.doesNotMatch(await world.metrics.text(), /thanos_compact_downsample_total\{.*\} 1/);
    }
  });

  test('rewritten blocks are compacted with others, and say what all have been through', async () => {
    const world = new CompactWorld();
    for (let from = 0; from < 10; from += 2) {
      await world.addBlock({ from, to: from + 2, series: ['up', 'job:up'] });
    }
    const settled = [1, 2].map((hours) => hours * HOUR_MS);
    await world.clock.advance(100 * DAY_MS);
    const retentionRules = rules(RULES);
    await world.compact({ retentionRules, ranges: settled });
    assert.equal(await world.ranges(), '0-2 2-4 4-6 6-8 8-10');
    await world.compact({ retentionRules });
    assert.equal(await world.ranges(), '0-8 8-10');
    const blocks = await world.blocks();
    for (const block of blocks) assert.equal(appliedDeletions(block).size, 1);
    assert.deepEqual(await seriesOf(world), ['0: job:up', '0: job:up']);
  });

  test('marks that keep a block from being worked on hold for its successor', async () => {
    const world = await worldAt(60);
    const [old] = await world.blocks();
    await world.bucket.upload(
      `${old!.ulid}/no-downsample-mark.json`,
      new TextEncoder().encode(
        JSON.stringify({ id: old!.ulid, version: 1, no_downsample_time: 1, reason: 'manual' }),
      ),
    );
    await world.compact({
      retentionRules: rules(RULES),
      downsampleAges: DEFAULT_DOWNSAMPLE_AGES,
    });
    assert.deepEqual(await seriesOf(world), ['0: down job:up']);
    const [made] = await world.blocks();
    assert.ok(world.bucket.peek(`${made!.ulid}/no-downsample-mark.json`) !== undefined);
  });

  test('a dry run tells what would go, and takes nothing', async () => {
    const world = await worldAt(60);
    await world.compact({ retentionRules: rules(RULES), retentionDryRun: true });
    assert.deepEqual(await seriesOf(world), ['0: down job:up up']);
    const line = world.log.lines.find(({ message }) => message.includes('would be rewritten'));
    assert.match(
      line!.message,
      /would be rewritten without 1 of 3 series past their retention \(about \d+ samples, \d+ bytes\): 1 of \{cluster="a",__name__="up"\}/,
    );
  });
});

test('a crash at any operation of a rewrite loses nothing else, and the next run ends as an undisturbed one', async () => {
  const config = { retentionRules: rules(RULES) };
  const undisturbed = await worldAt(60);
  const before = await undisturbed.samples();
  const counting = new FaultAt(Number.POSITIVE_INFINITY, 'refuse', true);
  undisturbed.restart(counting.plan);
  await undisturbed.compact(config);
  const want = await undisturbed.samples();
  assert.equal(want.size, 2);
  for (let at = 0; at < counting.count; at += 2) {
    const fault: Fault = at % 4 === 0 ? 'tear' : 'lose-reply';
    const world = await worldAt(60);
    world.restart(new FaultAt(at, fault, true).plan);
    await world.compact(config).catch(() => undefined);
    world.restart();
    const left = await world.samples();
    for (const [series, samples] of want) {
      assert.deepEqual(left.get(series), samples, `${series} after ${fault} at operation ${at}`);
    }
    for (const [series, samples] of left) assert.deepEqual(samples, before.get(series));
    await world.compact(config);
    assert.deepEqual(await world.samples(), want, `samples in the end, ${fault} at ${at}`);
    assert.equal((await world.blocks()).length, 1, `blocks in the end, ${fault} at ${at}`);
    assert.deepEqual(await world.partial(), [], `left behind after ${fault} at ${at}`);
    assert.deepEqual(await world.disk.list('/data/rewrite/retention'), []);
  }
});
