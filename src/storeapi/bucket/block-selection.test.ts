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
  const chosen = selectBlocks(blocks, 0, 299, HOUR);
  assert.deepEqual(chosen, [blocks[1], blocks[2], blocks[4]]);
  assert.deepEqual(selectBlocks(blocks, 0, 299, RAW), [blocks[0], blocks[2], blocks[3]]);
});

test('blocks of one resolution that overlap are all chosen', () => {
  const blocks = [block(0, 100), block(50, 150), block(60, 70)];
  assert.deepEqual(selectBlocks(blocks, 55, 65, RAW), blocks);
});

test('ranges are half-open for blocks and closed for requests', () => {
  const blocks = [block(0, 100), block(100, 200)];
  assert.deepEqual(selectBlocks(blocks, 100, 100, RAW), [blocks[1]]);
  assert.deepEqual(selectBlocks(blocks, 99, 100, RAW), blocks);
});

test('every time that some allowed block covers is covered by the choice', () => {
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
        const allowed = sorted.filter(({ resolutionMs }) => resolutionMs <= maxResolution);
        for (let time = 10; time <= 60; time++) {
          const covers = ({ minTime, maxTime }: { minTime: number; maxTime: number }) =>
            minTime <= time && time < maxTime;
          assert.equal(chosen.some(covers), allowed.some(covers), `at ${time}`);
        }
      },
    ),
  );
});
