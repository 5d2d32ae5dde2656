import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { plannerPasses } from '#/promql/planner.ts';
import type { PlannerPass } from '#/promql/planner.ts';
import { BlockQueryable } from '#/tsdb/block-queryable.ts';
import { engineOver } from './answers.ts';
import type { Ask } from './answers.ts';
import { writeBlocks } from './data-set.ts';
import { textOf } from './query-tree.ts';
import { randomQuery, randomTimes } from './random-query.ts';

const QUERIES = 400;

/** A planner pass must not change an answer: not a digit, not an annotation, not an error. */
describe('random queries are answered alike', () => {
  let blocks: BlockQueryable;
  let plain: Ask;

  before(async () => {
    blocks = new BlockQueryable(await writeBlocks(new MemoryDisk(), '/data'));
    plain = engineOver(blocks, { passes: [] });
  });

  const sets: [string, readonly PlannerPass[]][] = [
    ['all planner passes', plannerPasses],
    ...plannerPasses.map((pass): [string, PlannerPass[]] => [`${pass.name} alone`, [pass]]),
  ];
  for (const [number, [name, passes]] of sets.entries()) {
    test(`with ${name} and with none`, async () => {
      const planned = engineOver(blocks, { passes });
      for (let i = 0; i < QUERIES; i++) {
        const seed = 1_000_000 * (number + 1) + i;
        const random = seededRandom(seed);
        const times = randomTimes(random);
        const text = textOf(randomQuery(random));
        const [got, want] = await Promise.all([planned(text, times), plain(text, times)]);
        assert.equal(JSON.stringify(got), JSON.stringify(want), `seed ${seed}: ${text}`);
      }
    });
  }
});
