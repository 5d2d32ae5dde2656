import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from './random.ts';
import { isUlid, looksLikeUlid, newUlid, packUlids, ulidTimeMs, unpackUlids } from './ulid.ts';

test('a new ULID holds its time and is the same for the same seed', () => {
  const id = newUlid(1_700_000_000_000, seededRandom(1));
  assert.ok(isUlid(id));
  assert.equal(ulidTimeMs(id), 1_700_000_000_000);
  assert.equal(newUlid(1_700_000_000_000, seededRandom(1)), id);
});

test('isUlid() is strict where looksLikeUlid() is as lenient as Go', () => {
  assert.ok(isUlid('01ARZ3NDEKTSV4RRFFQ69G5FAV'));
  for (const text of ['01arz3ndektsv4rrffq69g5fav', '01ARZ3NDEKTSV4RRFFQ69G5FA!']) {
    assert.ok(!isUlid(text));
    assert.ok(looksLikeUlid(text));
  }
  assert.ok(!looksLikeUlid('81ARZ3NDEKTSV4RRFFQ69G5FAV'));
  assert.ok(!looksLikeUlid('01ARZ3NDEKTSV4RRFFQ69G5FA'));
  assert.throws(() => ulidTimeMs('nope'), { name: 'BadInputError' });
});

test('packed ULIDs come back, and so does what is none', () => {
  const id = newUlid(1_700_000_000_000, seededRandom(1));
  for (const texts of [[], [id], [id, id, '01ARZ3NDEKTSV4RRFFQ69G5FAV'], [id, 'short'], ['']]) {
    assert.deepEqual(unpackUlids(packUlids(texts)), texts);
  }
});
