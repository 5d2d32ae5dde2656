import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptionError } from '#/lib/errors.ts';
import { joinIntervals, readTombstones, writeTombstones } from './tombstones.ts';

test('an empty tombstones file has the nine bytes that Prometheus writes', () => {
  const bytes = writeTombstones(new Map());
  assert.equal(Buffer.from(bytes).toString('hex'), '0130ba300100000000');
  assert.equal(readTombstones(bytes).size, 0);
});

test('tombstones are read back, joined where they overlap or touch', () => {
  const written = writeTombstones(
    new Map([
      [
        7,
        [
          { mint: 5, maxt: 9 },
          { mint: 10, maxt: 12 },
          { mint: 20, maxt: 30 },
        ],
      ],
      [2, [{ mint: -(2 ** 63), maxt: 2 ** 62 }]],
    ]),
  );
  const read = readTombstones(written);
  assert.deepEqual(read.get(7), [
    { mint: 5, maxt: 12 },
    { mint: 20, maxt: 30 },
  ]);
  assert.deepEqual(read.get(2), [{ mint: -(2 ** 63), maxt: 2 ** 62 }]);
  assert.deepEqual(
    joinIntervals([
      { mint: 3, maxt: 9 },
      { mint: 1, maxt: 20 },
    ]),
    [{ mint: 1, maxt: 20 }],
  );
});

test('every altered or missing byte of a tombstones file is noticed', () => {
  const intact = writeTombstones(new Map([[7, [{ mint: 5, maxt: 1_700_000_000_000 }]]]));
  for (let at = 0; at < intact.length; at++) {
    assert.throws(() => readTombstones(intact.subarray(0, at)), CorruptionError);
    for (let bit = 0; bit < 8; bit++) {
      const bytes = intact.slice();
      bytes[at]! ^= 1 << bit;
      assert.throws(() => readTombstones(bytes), CorruptionError);
    }
  }
});
