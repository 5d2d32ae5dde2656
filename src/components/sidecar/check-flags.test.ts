import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFlags } from './check-flags.ts';

const flags = {
  tsdbPath: '/data',
  minBlockDurationMs: 7_200_000,
  maxBlockDurationMs: 7_200_000,
  delayCompactFile: '',
  adminApi: false,
  lifecycle: true,
};
const upload = {
  tsdbPath: '/data',
  metaFileName: 'thanos.shipper.json',
  ignoreUnequalBlockSize: false,
};

test('equal block durations of 2 h are fine', () => {
  assert.deepEqual(checkFlags(flags, upload), []);
});

test('a Prometheus that compacts is refused, or only warned about when asked to', () => {
  const compacting = { ...flags, maxBlockDurationMs: 86_400_000 };
  assert.throws(() => checkFlags(compacting, upload), {
    name: 'BadInputError',
    message: /min-block-duration is 2h and --storage\.tsdb\.max-block-duration is 1d/,
  });
  assert.equal(checkFlags(compacting, { ...upload, ignoreUnequalBlockSize: true }).length, 1);
});

test('a Prometheus that waits for uploads must look at the shipper’s own file', () => {
  const waiting = {
    ...flags,
    maxBlockDurationMs: 86_400_000,
    delayCompactFile: '/data//thanos.shipper.json',
  };
  assert.deepEqual(checkFlags(waiting, upload), []);
  assert.throws(() => checkFlags({ ...waiting, delayCompactFile: '/x.json' }, upload), {
    name: 'BadInputError',
    message: /delay-compact-file\.path=\/x\.json.*lists them in \/data\/thanos\.shipper\.json/,
  });
});

test('another block duration is worth a warning', () => {
  const short = { ...flags, minBlockDurationMs: 10_000, maxBlockDurationMs: 10_000 };
  assert.deepEqual(checkFlags(short, upload), [
    'Prometheus cuts blocks of 10s; 2h is what everything is made for',
  ]);
});
