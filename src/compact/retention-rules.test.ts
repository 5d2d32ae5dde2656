import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { emptyStats, Resolution, ownSource } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { commonRewrites, rewriteEntry, successorId } from '#/tsdb/block-rewrites.ts';
import { compileDeletion, deletedRanges } from '#/tsdb/series-deletion.ts';
import { DEFAULT_DOWNSAMPLE_AGES, planDownsampling } from './downsample-plan.ts';
import { groupBlocks } from './grouper.ts';
import { mergedIdentity } from './merged-meta.ts';
import { planCompaction } from './planner.ts';
import { planRetention } from './retention-plan.ts';
import type { RetentionPlan } from './retention-plan.ts';
import { seriesClasses } from './retention-rules.ts';
import type { RetentionRule, Retentions } from './retention-rules.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = 19_600 * DAY;
const RESOLUTIONS = [Resolution.Raw, Resolution.FiveMinutes, Resolution.OneHour];
const NAMES = ['a', 'b', 'c'];
const random = seededRandom(9);
const is = (name: string) => newMatcher('=', '__name__', name);
const noRetention: Retentions = new Map();

test('every series is of the class of the first rule that selects it', () => {
  const rules: RetentionRule[] = [
    { selectors: [[newMatcher('=', 'cluster', 'x')]], retentions: noRetention },
    { selectors: [[is('a')], [is('b'), newMatcher('=', 'cluster', 'y')]], retentions: noRetention },
    { selectors: [[newMatcher('=~', '__name__', 'a|b')]], retentions: noRetention },
  ];
  const classOf = (name: string, external: Labels) => {
    const labels = Labels.fromObject({ __name__: name });
    const classes = seriesClasses(rules, noRetention, external);
    return classes
      .filter(({ deletions }) => deletedRanges(labels, deletions.map(compileDeletion)).length > 0)
      .map((one) => one.name);
  };
  const inX = Labels.fromObject({ cluster: 'x' });
  for (const name of NAMES) assert.deepEqual(classOf(name, inX), ['{cluster="x"}']);
  const inY = Labels.fromObject({ cluster: 'y' });
  const second = '{__name__="a"}, {__name__="b",cluster="y"}';
  assert.deepEqual(
    NAMES.map((name) => classOf(name, inY)),
    [[second], [second], ['other series']],
  );
  const inZ = Labels.fromObject({ cluster: 'z' });
  assert.deepEqual(classOf('b', inZ), ['{__name__=~"a|b"}']);
});

test('a class is named for its series: other retentions and later rules do not matter', () => {
  const rule = (name: string, days = 1): RetentionRule => ({
    selectors: [[is(name)]],
    retentions: new Map([[Resolution.Raw, days * DAY]]),
  });
  const ids = (...rules: RetentionRule[]) =>
    seriesClasses(rules, noRetention, Labels.empty).map(({ id }) => id);
  const [a, b] = ids(rule('a'), rule('b'));
  assert.deepEqual(ids(rule('a', 7), rule('b', 9), rule('c')).slice(0, 2), [a, b]);
  assert.notEqual(ids(rule('b'), rule('a'))[1], a);
});

interface ModelBlock {
  readonly meta: BlockMeta;
  readonly series: ReadonlySet<string>;
}

/** A bucket whose blocks are metas and names of series, and whose queues run in any order. */
class ModelBucket {
  blocks: ModelBlock[] = [];
  readonly rules: readonly RetentionRule[];
  readonly rest: Retentions;

  constructor(rules: readonly RetentionRule[], rest: Retentions) {
    this.rules = rules;
    this.rest = rest;
  }

  add(day: number): void {
    const ulid = newUlid(START + day * DAY, random);
    const meta: BlockMeta = {
      ulid,
      minTime: START + day * DAY,
      maxTime: START + (day + 1) * DAY,
      version: 1,
      stats: emptyStats,
      compaction: ownSource(ulid),
      thanos: { ...emptyThanosMeta, labels: { cluster: 'x' } },
    };
    this.blocks.push({ meta, series: new Set(NAMES) });
  }

  get metas(): BlockMeta[] {
    return this.blocks.map(({ meta }) => meta);
  }

  compact(): boolean {
    let worked = false;
    for (const group of groupBlocks(this.metas)) {
      const plan = planCompaction({ blocks: group.blocks, noCompact: new Set() });
      if (plan.length < 2) continue;
      const thanos = { ...plan[0]!.thanos!, rewrites: commonRewrites(plan) };
      const made = mergedIdentity(newUlid(plan[0]!.maxTime, random), plan, thanos);
      const series = new Set(this.#of(plan).flatMap((block) => [...block.series]));
      this.#replace(plan, [{ meta: { ...plan[0]!, ...made }, series }]);
      worked = true;
    }
    return worked;
  }

  downsample(): boolean {
    const jobs = planDownsampling(this.metas, new Set());
    for (const { block, toMs } of jobs) {
      const ulid = newUlid(block.maxTime, random);
      const thanos = { ...block.thanos!, downsample: { resolution: toMs } };
      this.blocks.push({ meta: { ...block, ulid, thanos }, series: this.#of([block])[0]!.series });
    }
    return jobs.length > 0;
  }

  settle(): void {
    while (this.compact() || this.downsample());
  }

  /** One pass, with what went: series of blocks. */
  retain(nowMs: number): { readonly meta: BlockMeta; readonly name: string }[] {
    const gone: { readonly meta: BlockMeta; readonly name: string }[] = [];
    const { expired, due } = this.plan(nowMs);
    for (const { meta, series } of this.#of(expired)) {
      for (const name of series) gone.push({ meta, name });
    }
    this.#replace(expired, []);
    for (const { block, classes } of due) {
      const deletions = classes.flatMap((one) => one.deletions);
      const compiled = deletions.map(compileDeletion);
      const [{ series } = { series: new Set<string>() }] = this.#of([block]);
      const left = [...series].filter(
        (name) => deletedRanges(Labels.fromObject({ __name__: name }), compiled).length === 0,
      );
      for (const name of series) if (!left.includes(name)) gone.push({ meta: block, name });
      const rewrites = [...block.thanos!.rewrites, rewriteEntry(block, deletions)];
      const ulid = successorId(block.ulid, random);
      const meta = { ...block, ulid, thanos: { ...block.thanos!, rewrites } };
      this.#replace([block], left.length === 0 ? [] : [{ meta, series: new Set(left) }]);
    }
    return gone;
  }

  plan(nowMs: number): RetentionPlan {
    return planRetention({
      blocks: {
        metas: new Map(this.metas.map((meta) => [meta.ulid, meta])),
        noCompact: new Set(),
        noDownsample: new Set(),
        deletionMarks: new Map(),
        unreadable: new Map(),
      },
      retentions: this.rest,
      rules: this.rules,
      ages: DEFAULT_DOWNSAMPLE_AGES,
      nowMs,
    });
  }

  /** The sources that a resolution has of a series. */
  sources(resolution: number, name: string): Set<string> {
    const having = this.blocks.filter(
      ({ meta, series }) => meta.thanos!.downsample.resolution === resolution && series.has(name),
    );
    return new Set(having.flatMap(({ meta }) => meta.compaction.sources));
  }

  #of(metas: readonly BlockMeta[]): ModelBlock[] {
    return metas.map((meta) => this.blocks.find((block) => block.meta === meta)!);
  }

  #replace(metas: readonly BlockMeta[], by: readonly ModelBlock[]): void {
    this.blocks = [...this.blocks.filter(({ meta }) => !metas.includes(meta)), ...by];
  }
}

const days = (min: number, max: number) => fc.option(fc.integer({ min, max }), { nil: 0 });
/** By the name of the series: `c` is what no rule selects. */
const allRetentions = fc
  .array(fc.tuple(days(2, 40), days(10, 60), days(1, 80)), { minLength: 3, maxLength: 3 })
  .map((all) =>
    all.map((one): Retentions => new Map(RESOLUTIONS.map((res, i) => [res, one[i]! * DAY]))),
  );
const step = fc.constantFrom(
  'compact',
  'compact',
  'downsample',
  'retain',
  'retain',
  'wait',
  'wait',
);
const steps = fc.array(step, { minLength: 20, maxLength: 100, size: 'max' });

function rulesOf([a, b]: readonly Retentions[]): RetentionRule[] {
  return [
    { selectors: [[is('a')]], retentions: a! },
    { selectors: [[is('b')], [is('a')]], retentions: b! },
  ];
}

test('no series goes before its time, and none that a resolution still wants, whatever the order', () => {
  const law = (order: readonly string[], retentions: readonly Retentions[]) => {
    const bucket = new ModelBucket(rulesOf(retentions), retentions[2]!);
    const undisturbed = new ModelBucket([], noRetention);
    const retentionOf = (name: string, resolution: number) =>
      retentions[NAMES.indexOf(name)]!.get(resolution) ?? 0;
    let day = 0;
    for (const one of [...order, ...Array.from({ length: 20 }, () => 'wait')]) {
      if (one === 'wait') {
        bucket.add(day);
        undisturbed.blocks.push(bucket.blocks.at(-1)!);
        day++;
        undisturbed.settle();
      } else if (one === 'compact') bucket.compact();
      else if (one === 'downsample') bucket.downsample();
      else {
        const nowMs = START + day * DAY + HOUR;
        for (const { meta, name } of bucket.retain(nowMs)) {
          const retentionMs = retentionOf(name, meta.thanos!.downsample.resolution);
          assert.ok(retentionMs > 0 && meta.maxTime + retentionMs < nowMs, 'its time was over');
        }
      }
    }
    bucket.settle();
    const nowMs = START + day * DAY + HOUR;
    for (const name of NAMES) {
      for (const resolution of RESOLUTIONS) {
        const retentionMs = retentionOf(name, resolution);
        const have = bucket.sources(resolution, name);
        for (const { meta } of undisturbed.blocks) {
          if (meta.thanos!.downsample.resolution !== resolution) continue;
          if (retentionMs > 0 && meta.minTime + retentionMs < nowMs) continue;
          for (const source of meta.compaction.sources) {
            assert.ok(have.has(source), `${resolution} still wants ${name} of ${source}`);
          }
        }
      }
    }
  };
  fc.assert(fc.property(steps, allRetentions, law), { numRuns: 60 });
});

test('what is past its time goes with the next pass, but for what is held, and no pass does it again', () => {
  const law = (retentions: readonly Retentions[], count: number, later: number) => {
    const bucket = new ModelBucket(rulesOf(retentions), retentions[2]!);
    for (let day = 0; day < count; day++) bucket.add(day);
    bucket.settle();
    const nowMs = START + (count + later) * DAY + HOUR;
    bucket.retain(nowMs);
    const { expired, held, due } = bucket.plan(nowMs);
    assert.deepEqual([expired, due], [[], []]);
    const isHeld = new Set(held);
    for (const { meta, series } of bucket.blocks) {
      if (isHeld.has(meta)) continue;
      for (const name of series) {
        const { resolution } = meta.thanos!.downsample;
        const retentionMs = retentions[NAMES.indexOf(name)]!.get(resolution) ?? 0;
        assert.ok(retentionMs === 0 || meta.maxTime + retentionMs >= nowMs, `${name} is past`);
      }
    }
  };
  const many = fc.integer({ min: 1, max: 40 });
  fc.assert(fc.property(allRetentions, many, fc.nat({ max: 120 }), law), { numRuns: 60 });
});
