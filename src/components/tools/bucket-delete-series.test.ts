import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deletionName } from '#/blocks/series-deletions.ts';
import { BadInputError, NotFoundError } from '#/lib/errors.ts';
import { bucketToolInMemory } from '../testing/bucket-tool.ts';
import { cancelDeletions, deleteSeries, listDeletions } from './bucket-delete-series.ts';

/** As `bucketToolInMemory`, with what was written since the last time. */
function open() {
  const world = bucketToolInMemory();
  let seen = 0;
  const written = () => {
    const text = world.text().slice(seen);
    seen += text.length;
    return text;
  };
  return { ...world, written };
}

const wanted = { selectors: ['up{cluster="a"}'], dryRun: true, output: 'tsv' } as const;

test('tools bucket delete-series prints what it would take, asks for it, lists it and takes it back', async () => {
  const { tool, addBlock, bucket, written } = open();
  const { ulid } = await addBlock({ slot: 0 });
  const everything = { ...wanted, selectors: ['{__name__=~".+"}'] };
  assert.equal(await deleteSeries(everything, tool), 0);
  const [header, row, ...more] = written().trimEnd().split('\n');
  assert.equal(header, 'ULID\tRESOLUTION\tFROM\tUNTIL\tSERIES\tSAMPLES\tBYTES');
  assert.match(row!, new RegExp(`^${ulid}\t0s\t.*\t\\d+\t\\d+\t`));
  assert.deepEqual(more, []);
  assert.ok(
    !bucket.names.some((name) => name.startsWith('hindsight/')),
    'a dry run writes nothing',
  );

  assert.equal(await deleteSeries({ ...everything, dryRun: false, reason: 'a leak' }, tool), 0);
  const id = written().trim();
  assert.ok(bucket.names.includes(deletionName(id)));
  assert.equal(await listDeletions('tsv', tool), 0);
  assert.match(written(), new RegExp(`\n${id}\t.*\tpending\t0/1\t\ta leak\n$`));
  assert.equal(await cancelDeletions([id], tool), 0);
  assert.ok(!bucket.names.includes(deletionName(id)));
  await assert.rejects(cancelDeletions([id], tool), NotFoundError);
});

test('tools bucket delete-series counts a block without any such series as done', async () => {
  const { tool, addBlock, written, bucket } = open();
  await addBlock({ slot: 0 });
  await deleteSeries({ ...wanted, selectors: ['nothing_like_it'], dryRun: false }, tool);
  written();
  await listDeletions('tsv', tool);
  assert.match(written(), /\tapplied\t1\/1\t/);
  await bucket.upload(deletionName('01ARZ3NDEKTSV4RRFFQ69G5FAV'), new Uint8Array(3));
  assert.equal(await listDeletions('tsv', tool), 1);
});

test('tools bucket delete-series wants a selector', async () => {
  const { tool } = open();
  await assert.rejects(deleteSeries({ ...wanted, selectors: [] }, tool), BadInputError);
  await assert.rejects(deleteSeries({ ...wanted, selectors: ['{}'] }, tool), BadInputError);
});
