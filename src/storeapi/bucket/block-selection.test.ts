import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RESOLUTIONS_MS, selectBlocks } from './block-selection.ts';

const RAW = 0;
const FIVE_MINUTES = 300_000;
const HOUR = 3_600_000;
const block = (minTime: number, maxTime: number, resolutionMs = RAW) => ({
  minTime,
  maxTime,
  resolutionMs,
});

test('gaps of the coarse resolution are filled by finer ones', () => {
  const blocks = [
    block(0, 100),
    block(0, 100, FIVE_MINUTES),
    block(100, 200),
    block(200, 300),
    block(200, 300, HOUR),
  ];
  const [, fiveMinutes, second, , hour] = blocks;
  assert.deepEqual(selectBlocks(blocks, 0, 299, HOUR), [
    { block: fiveMinutes, mint: 0, maxt: 199 },
    { block: second, mint: 100, maxt: 199 },
    { block: hour, mint: 0, maxt: 299 },
  ]);
});

test('coarser blocks than allowed stand in where nothing else is', () => {
  const blocks = [
    block(0, 300, HOUR),
    block(0, 200, FIVE_MINUTES),
    block(200, 300),
    block(300, 400),
  ];
  assert.deepEqual(selectBlocks(blocks, 0, 399, RAW), [
    { block: blocks[1], mint: 0, maxt: 199 },
    { block: blocks[2], mint: 0, maxt: 399 },
    { block: blocks[3], mint: 0, maxt: 399 },
  ]);
});

test('a block that fills several gaps is chosen once', () => {
  const blocks = [block(0, 100), block(10, 20, HOUR), block(30, 40, HOUR)];
  const chosen = selectBlocks(blocks, 0, 99, HOUR);
  assert.deepEqual(chosen[0], { block: blocks[0], mint: 0, maxt: 99 });
  assert.equal(chosen.length, 3);
});

test('blocks of one resolution that overlap are all chosen', () => {
  const blocks = [block(0, 100), block(50, 150), block(60, 70)];
  assert.deepEqual(chosenOf(blocks, 55, 65, RAW), blocks);
});

test('ranges are half-open for blocks and closed for requests', () => {
  const blocks = [block(0, 100), block(100, 200)];
  assert.deepEqual(chosenOf(blocks, 100, 100, RAW), [blocks[1]]);
  assert.deepEqual(chosenOf(blocks, 99, 100, RAW), blocks);
});

test('every time that some block covers is covered by the choice, as finely as it may be', () => {
  const anyBlock = fc
    .tuple(
      fc.integer({ min: 0, max: 50 }),
      fc.integer({ min: 1, max: 30 }),
      fc.constantFrom(...RESOLUTIONS_MS),
    )
    .map(([min, length, resolution]) => block(min, min + length, resolution));
  fc.assert(
    fc.property(
      fc.array(anyBlock, { maxLength: 12 }),
      fc.constantFrom(...RESOLUTIONS_MS),
      (blocks, maxResolution) => {
        const sorted = blocks.toSorted((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime);
        const chosen = selectBlocks(sorted, 10, 60, maxResolution);
        for (let time = 10; time <= 60; time++) {
          const covers = ({ minTime, maxTime }: { minTime: number; maxTime: number }) =>
            minTime <= time && time < maxTime;
          const present = new Set(sorted.filter(covers).map((one) => one.resolutionMs));
          const answered = chosen
            .filter(({ block, mint, maxt }) => covers(block) && mint <= time && time <= maxt)
            .map((one) => one.block.resolutionMs);
          const best = preference(maxResolution).find((resolution) => present.has(resolution));
          assert.equal(
            best === undefined ? answered.length === 0 : answered.includes(best),
            true,
            `at ${time}`,
          );
        }
      },
    ),
  );
});

const chosenOf = (...args: Parameters<typeof selectBlocks>) =>
  selectBlocks(...args).map((chosen) => chosen.block);

function preference(maxResolutionMs: number): number[] {
  const distance = (resolution: number) =>
    resolution <= maxResolutionMs ? maxResolutionMs - resolution : 1e9 + resolution;
  return RESOLUTIONS_MS.toSorted((a, b) => distance(a) - distance(b));
}
