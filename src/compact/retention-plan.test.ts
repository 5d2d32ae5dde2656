import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import type { Mark } from '#/blocks/markers.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { emptyStats } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { DEFAULT_DOWNSAMPLE_AGES, planDownsampling } from './downsample-plan.ts';
import { groupBlocks } from './grouper.ts';
import { mergedIdentity } from './merged-meta.ts';
import { planCompaction } from './planner.ts';
import { planRetention } from './retention-plan.ts';
import type { RetentionInput } from './retention-plan.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const RAW = 0;
const FIVE_MINUTES = 300_000;
const ONE_HOUR = 3_600_000;
const random = seededRandom(5);

/** A block of `[from, to)` days. */
function block(from: number, to: number, resolution = RAW, sources?: readonly string[]): BlockMeta {
  const ulid = newUlid(1_000_000 + from * DAY, random);
  return {
    ulid,
    version: 1,
    minTime: from * DAY,
    maxTime: to * DAY,
    stats: { ...emptyStats, numSeries: 99 },
    compaction: {
      level: 1,
      sources: sources ?? [ulid],
      deletable: false,
      parents: [],
      failed: false,
      hints: [],
    },
    thanos: { ...emptyThanosMeta, labels: { cluster: 'a' }, downsample: { resolution } },
  };
}

function viewOf(metas: readonly BlockMeta[]): RetentionInput['blocks'] {
  return {
    metas: new Map(metas.map((meta) => [meta.ulid, meta])),
    noCompact: new Set(),
    noDownsample: new Set(),
    deletionMarks: new Map<string, Mark>(),
    unreadable: new Map(),
  };
}

/** Retentions in days; `undefined` for ever. */
function keep(raw?: number, fiveMinutes?: number, oneHour?: number): Map<number, number> {
  return new Map([
    [RAW, (raw ?? 0) * DAY],
    [FIVE_MINUTES, (fiveMinutes ?? 0) * DAY],
    [ONE_HOUR, (oneHour ?? 0) * DAY],
  ]);
}

const raw = block(0, 14);
const small = block(0, 1);
const child = block(0, 14, FIVE_MINUTES, [raw.ulid]);
const smallChild = block(0, 2, FIVE_MINUTES);
const grandchild = block(0, 14, ONE_HOUR, [raw.ulid]);
const smallGrandchild = block(0, 2, ONE_HOUR, smallChild.compaction.sources);
const other = block(14, 28, FIVE_MINUTES);
const mark: Mark = { id: '', timeMs: 0, details: '', reason: '' };

const table: readonly {
  readonly name: string;
  readonly blocks: readonly BlockMeta[];
  readonly retentions: Map<number, number>;
  readonly day: number;
  readonly over?: Partial<RetentionInput['blocks']>;
  readonly downsampling?: false;
  readonly expired?: readonly BlockMeta[];
  readonly held?: readonly BlockMeta[];
}[] = [
  { name: 'nothing is said', blocks: [raw, child, grandchild], retentions: keep(), day: 9999 },
  { name: 'its time is not over', blocks: [raw, child], retentions: keep(30), day: 43 },
  {
    name: 'its time is over and 5 minutes are there',
    blocks: [raw, child],
    retentions: keep(30),
    day: 45,
    expired: [raw],
  },
  { name: '5 minutes are missing', blocks: [raw], retentions: keep(30), day: 45, held: [raw] },
  {
    name: '5 minutes of other data are no help',
    blocks: [raw, other],
    retentions: keep(30),
    day: 45,
    held: [raw],
  },
  {
    name: '5 minutes of a part of the data are no help',
    blocks: [{ ...raw, compaction: { ...raw.compaction, sources: [raw.ulid, other.ulid] } }, child],
    retentions: keep(30),
    day: 45,
    held: [raw],
  },
  {
    name: '5 minutes are about to be deleted',
    blocks: [raw, child],
    retentions: keep(30),
    day: 45,
    over: { deletionMarks: new Map([[child.ulid, mark]]) },
    held: [raw],
  },
  {
    name: 'it is marked already',
    blocks: [raw, child],
    retentions: keep(30),
    day: 45,
    over: { deletionMarks: new Map([[raw.ulid, mark]]) },
  },
  {
    name: 'nobody downsamples',
    blocks: [raw],
    retentions: keep(30),
    day: 45,
    downsampling: false,
    expired: [raw],
  },
  {
    name: 'it must not be downsampled',
    blocks: [raw],
    retentions: keep(30),
    day: 45,
    over: { noDownsample: new Set([raw.ulid]) },
    expired: [raw],
  },
  {
    name: 'no coarser resolution wants it any more',
    blocks: [raw],
    retentions: keep(30, 20, 20),
    day: 45,
    expired: [raw],
  },
  {
    name: '1 hour alone wants it, and is made of 5 minutes',
    blocks: [raw],
    retentions: keep(30, 20),
    day: 45,
    held: [raw],
  },
  {
    name: '1 hour alone wants it, and is there',
    blocks: [raw, grandchild],
    retentions: keep(30, 20),
    day: 45,
    expired: [raw],
  },
  {
    name: '1 hour is there, but 5 minutes are wanted too',
    blocks: [raw, grandchild],
    retentions: keep(30),
    day: 45,
    held: [raw],
  },
  {
    name: '5 minutes go when 1 hour is there',
    blocks: [child, grandchild],
    retentions: keep(30, 60),
    day: 75,
    expired: [child],
  },
  {
    name: '5 minutes stay until 1 hour is there',
    blocks: [child],
    retentions: keep(30, 60),
    day: 75,
    held: [child],
  },
  {
    name: '1 hour is the last',
    blocks: [grandchild],
    retentions: keep(30, 60, 90),
    day: 105,
    expired: [grandchild],
  },
  {
    name: 'too small for anything to be made of it',
    blocks: [small],
    retentions: keep(2),
    day: 5,
    expired: [small],
  },
  {
    name: 'small, but its window of two days is still open',
    blocks: [small],
    retentions: keep(2),
    day: 3.5,
    held: [small],
  },
  {
    name: 'small, its window open, but not to be compacted',
    blocks: [small],
    retentions: keep(2),
    day: 3.5,
    over: { noCompact: new Set([small.ulid]) },
    expired: [small],
  },
  {
    name: 'small, but compaction is only behind',
    blocks: [small, block(1, 2), block(2, 3), block(3, 4)],
    retentions: keep(40),
    day: 41.5,
    held: [small],
  },
  {
    name: '5 minutes whose window of two weeks is still open',
    blocks: [smallChild],
    retentions: keep(undefined, 10),
    day: 15,
    held: [smallChild],
  },
  {
    name: '5 minutes that stay small',
    blocks: [smallChild],
    retentions: keep(undefined, 10),
    day: 29,
    expired: [smallChild],
  },
  {
    name: 'finer ones go first',
    blocks: [smallGrandchild, smallChild],
    retentions: keep(1, 10, 10),
    day: 29,
    expired: [smallChild, smallGrandchild],
  },
];

for (const {
  name,
  blocks,
  retentions,
  day,
  over,
  downsampling,
  expired = [],
  held = [],
} of table) {
  test(`retention: ${name}`, () => {
    const plan = planRetention({
      blocks: { ...viewOf(blocks), ...over },
      retentions,
      ages: downsampling === false ? undefined : DEFAULT_DOWNSAMPLE_AGES,
      nowMs: day * DAY + 1000,
    });
    const ids = (metas: readonly BlockMeta[]) => metas.map(({ ulid }) => ulid);
    assert.deepEqual(ids(plan.expired), ids(expired));
    assert.deepEqual(ids(plan.held), ids(held));
  });
}

/** A bucket of metas alone, whose queues run in any order, as far behind as one likes. */
class ModelBucket {
  metas: BlockMeta[] = [];

  /** Whether there was something to do. */
  compact(): boolean {
    let worked = false;
    for (const group of groupBlocks(this.metas)) {
      const plan = planCompaction({ blocks: group.blocks, noCompact: new Set() });
      const [first] = plan;
      if (first === undefined || plan.length === 1) continue;
      const identity = mergedIdentity(newUlid(first.maxTime, random), plan, first.thanos!);
      this.metas = this.metas.filter((meta) => !plan.includes(meta));
      this.metas.push({ ...first, ...identity });
      worked = true;
    }
    return worked;
  }

  downsample(): boolean {
    const jobs = planDownsampling(this.metas, new Set());
    for (const { block: source, toMs } of jobs) {
      const ulid = newUlid(source.maxTime, random);
      const thanos = { ...source.thanos!, downsample: { resolution: toMs } };
      this.metas.push({ ...source, ulid, thanos });
    }
    return jobs.length > 0;
  }

  /** Until nothing is left to do. */
  settle(): void {
    while (this.compact() || this.downsample());
  }

  retain(input: Pick<RetentionInput, 'retentions' | 'nowMs'>): BlockMeta[] {
    const ages = DEFAULT_DOWNSAMPLE_AGES;
    const { expired } = planRetention({ blocks: viewOf(this.metas), ages, ...input });
    const gone = new Set(expired);
    this.metas = this.metas.filter((meta) => !gone.has(meta));
    return [...expired];
  }

  /** The sources that a resolution has. */
  sources(resolution: number): Set<string> {
    const blocks = this.metas.filter(({ thanos }) => thanos!.downsample.resolution === resolution);
    return new Set(blocks.flatMap(({ compaction }) => compaction.sources));
  }
}

const step = fc.constantFrom('compact', 'compact', 'downsample', 'retain', 'wait', 'wait', 'wait');
const steps = fc.array(step, { minLength: 20, maxLength: 120, size: 'max' });
const retentionDays = fc.tuple(
  fc.option(fc.integer({ min: 2, max: 40 }), { nil: undefined }),
  fc.option(fc.integer({ min: 10, max: 60 }), { nil: undefined }),
  fc.option(fc.integer({ min: 1, max: 80 }), { nil: undefined }),
);

test('no order of compaction, downsampling and retention loses what a resolution still wants', () => {
  const law = (order: readonly string[], days: (number | undefined)[]) => {
    const bucket = new ModelBucket();
    const retentions = keep(...days);
    const undisturbed = new ModelBucket();
    let day = 0;
    const advance = () => {
      const added = [block(day, day + 1), block(day + 1, day + 2)];
      bucket.metas.push(...added);
      undisturbed.metas.push(...added);
      day += 2;
      undisturbed.settle();
    };
    for (const step of [...order, ...Array.from({ length: 10 }, () => 'wait')]) {
      const nowMs = day * DAY + HOUR;
      if (step === 'wait') advance();
      else if (step === 'compact') bucket.compact();
      else if (step === 'downsample') bucket.downsample();
      else {
        for (const gone of bucket.retain({ retentions, nowMs })) {
          const retentionMs = retentions.get(gone.thanos!.downsample.resolution)!;
          assert.ok(retentionMs > 0 && gone.maxTime + retentionMs < nowMs, 'its time was over');
        }
      }
    }
    bucket.settle();
    const nowMs = day * DAY + HOUR;
    for (const resolution of [RAW, FIVE_MINUTES, ONE_HOUR]) {
      const retentionMs = retentions.get(resolution)!;
      const have = bucket.sources(resolution);
      for (const made of undisturbed.metas) {
        if (made.thanos!.downsample.resolution !== resolution) continue;
        if (retentionMs > 0 && made.maxTime + retentionMs < nowMs) continue;
        for (const source of made.compaction.sources) {
          if (retentionMs > 0 && endOf(undisturbed, source) + retentionMs < nowMs) continue;
          assert.ok(have.has(source), `${resolution} still wants ${source}`);
        }
      }
    }
  };
  fc.assert(fc.property(steps, retentionDays, law), { numRuns: 60 });
});

/** When the data of a source end, by the smallest block that has it. */
function endOf({ metas }: ModelBucket, source: string): number {
  const having = metas.filter(({ compaction }) => compaction.sources.includes(source));
  return Math.min(...having.map(({ maxTime }) => maxTime));
}

test('once all is compacted and downsampled, nothing is held for long', () => {
  const law = (days: (number | undefined)[]) => {
    const bucket = new ModelBucket();
    for (let day = 0; day < 40; day++) bucket.metas.push(block(day, day + 1));
    bucket.settle();
    const retentions = keep(...days);
    bucket.retain({ retentions, nowMs: 1000 * DAY });
    for (const [resolution, retentionMs] of retentions) {
      if (retentionMs > 0) assert.equal(bucket.sources(resolution).size, 0, `${resolution}`);
    }
  };
  fc.assert(fc.property(retentionDays, law), { numRuns: 30 });
});
