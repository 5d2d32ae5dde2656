import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import { NotFoundError } from '#/lib/errors.ts';
import { ConditionError } from '../bucket.ts';
import type { Bucket, ListEntry, ListOptions } from '../bucket.ts';
import { prefixedBucket } from '../prefixed.ts';

interface SuiteOptions {
  /** An empty bucket, closed by the suite. Called once a test. */
  open(): Promise<Bucket>;
  /** Servers that get `If-Match` wrong run without its tests; false only with a reason beside it. */
  readonly conditionalReplace?: boolean;
  /** A directory cannot hold a name that is also a directory, nor empty path segments. */
  readonly flatNames?: boolean;
  /** How many objects the listing test makes; more than one page of a provider. */
  readonly listed?: number;
}

/** More than two pages of S3. */
const LISTED = 2100;

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (from: Uint8Array) => new TextDecoder().decode(from);

/** What every bucket must do, and what every bucket below a prefix must do just the same. */
export function bucketSuite(name: string, options: SuiteOptions): void {
  contract(name, options);
  contract(`${name}, below a prefix`, {
    ...options,
    listed: Math.min(options.listed ?? LISTED, 120),
    open: async () => {
      const whole = await options.open();
      await whole.upload('outside', bytes('not below the prefix'));
      await whole.upload('some/where-else', bytes('not below the prefix'));
      return prefixedBucket(whole, '/some/where/');
    },
  });
}

function contract(name: string, options: SuiteOptions): void {
  const { conditionalReplace = true, flatNames = true, listed = LISTED } = options;
  const check = (title: string, work: (bucket: Bucket) => Promise<void>): void => {
    test(title, async () => {
      await using bucket = await options.open();
      await work(bucket);
    });
  };

  describe(name, () => {
    check('gives back what was uploaded, and the newer of two', async (bucket) => {
      await bucket.upload('dir/object', bytes('first'));
      await bucket.upload('dir/object', bytes('second'));
      assert.equal(text(await bucket.read('dir/object')), 'second');
      await bucket.upload('empty', new Uint8Array());
      assert.equal((await bucket.read('empty')).length, 0);
    });

    check('takes a stream of unknown length', async (bucket) => {
      await bucket.upload('stream', pieces(['one ', 'two ', '', 'three']));
      assert.equal(text(await bucket.read('stream')), 'one two three');
      await bucket.upload('empty', pieces([]));
      assert.equal((await bucket.read('empty')).length, 0);
    });

    check('keeps the old object when a stream breaks', async (bucket) => {
      await bucket.upload('object', bytes('old'));
      await assert.rejects(bucket.upload('object', breaking()), /the source broke/);
      assert.equal(text(await bucket.read('object')), 'old');
      assert.deepEqual(await names(bucket, ''), ['object']);
    });

    check('reads ranges; past the end there is nothing', async (bucket) => {
      await bucket.upload('object', bytes('0123456789'));
      const range = async (offset: number, length?: number) =>
        text(await bucket.read('object', length === undefined ? { offset } : { offset, length }));
      assert.equal(await range(3, 4), '3456');
      assert.equal(await range(0, 1), '0');
      assert.equal(await range(7), '789');
      assert.equal(await range(8, 100), '89');
      assert.equal(await range(10, 5), '');
      assert.equal(await range(10), '');
      assert.equal(await range(50, 5), '');
      assert.equal(await range(4, 0), '');
    });

    check('streams an object and a part of it', async (bucket) => {
      const big = patterned(3 * 1024 * 1024 + 17);
      await bucket.upload('big', big);
      assert.ok(Buffer.from(big).equals(await gather(bucket.readStream('big'))));
      const part = await gather(bucket.readStream('big', { offset: 1_000_000, length: 1_500_000 }));
      assert.ok(Buffer.from(big.subarray(1_000_000, 2_500_000)).equals(part));
      assert.equal((await gather(bucket.readStream('big', { offset: big.length }))).length, 0);
    });

    check('says that an object does not exist', async (bucket) => {
      await bucket.upload('dir/object', bytes('x'));
      for (const missing of ['none', 'dir/none', 'dir']) {
        assert.equal(await bucket.attributes(missing), undefined);
        await assert.rejects(bucket.read(missing), NotFoundError);
        await assert.rejects(bucket.read(missing, { offset: 1, length: 0 }), NotFoundError);
        await assert.rejects(gather(bucket.readStream(missing)), NotFoundError);
      }
    });

    check('tells size, time and a version that changes with the content', async (bucket) => {
      const before = systemClock.now();
      await bucket.upload('object', bytes('12345'));
      const first = await bucket.attributes('object');
      assert.equal(first?.sizeBytes, 5);
      if (first.md5 !== undefined) assert.equal(first.md5, '827ccb0eea8a706c4c34a16891f84e7b');
      // Providers keep whole seconds, and their clock is not ours.
      assert.ok(Math.abs(first.modifiedMs - before) < 60_000);
      assert.equal((await bucket.attributes('object'))?.version, first.version);
      await bucket.upload('object', bytes('54321'));
      assert.notEqual((await bucket.attributes('object'))?.version, first.version);
    });

    check('removes an object, and a missing one without a fuss', async (bucket) => {
      await bucket.upload('dir/sub/object', bytes('x'));
      await bucket.upload('dir/other', bytes('x'));
      await bucket.remove('dir/sub/object');
      await bucket.remove('dir/sub/object');
      await bucket.remove('never/was');
      await bucket.remove('dir/');
      assert.deepEqual(await names(bucket, '', { recursive: true }), ['dir/other']);
      await bucket.remove('dir/other');
      assert.deepEqual(await names(bucket, ''), []);
    });

    check('lists one level and all levels in byte order, with sizes and times', async (bucket) => {
      const all = ['a-b', 'a/b/c', 'a/b/d', 'a/e', 'a0', 'b', 'z/é', 'z/\u{1f600}', 'z/\uffee'];
      for (const object of all) await bucket.upload(object, bytes(object));
      assert.deepEqual(await names(bucket, ''), ['a-b', 'a/', 'a0', 'b', 'z/']);
      assert.deepEqual(await names(bucket, 'a/'), ['a/b/', 'a/e']);
      assert.deepEqual(await names(bucket, 'z/'), ['z/é', 'z/\uffee', 'z/\u{1f600}']);
      assert.deepEqual(await names(bucket, 'none/'), []);
      assert.deepEqual(await names(bucket, 'b/'), []);
      assert.deepEqual(await names(bucket, 'a/', { recursive: true }), ['a/b/c', 'a/b/d', 'a/e']);
      const entries = await list(bucket, '', { recursive: true });
      assert.deepEqual(
        entries.map((entry) => entry.name),
        all.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      );
      for (const entry of entries) {
        assert.equal(entry.sizeBytes, Buffer.byteLength(entry.name));
        assert.ok(Math.abs((entry.modifiedMs ?? 0) - systemClock.now()) < 120_000);
      }
    });

    check(`lists ${listed} objects, and can be left early`, async (bucket) => {
      const all = Array.from({ length: listed }, (_, i) => `many/${String(i).padStart(5, '0')}/x`);
      await inParallel(16, all, (object) => bucket.upload(object, bytes('1')));
      assert.deepEqual(await names(bucket, 'many/', { recursive: true }), all);
      assert.deepEqual(
        await names(bucket, 'many/'),
        all.map((object) => object.slice(0, -1)),
      );
      for await (const { name: first } of bucket.list('many/')) {
        assert.equal(first, 'many/00000/');
        break;
      }
      await inParallel(16, all, (object) => bucket.remove(object));
      assert.deepEqual(await names(bucket, ''), []);
    });

    check('takes odd names', async (bucket) => {
      const odd = [
        'a b/c d',
        '100%/50%25',
        'plus+and&equal=s',
        'quote\'"`',
        'ünïcödé/日本語/\u{1f600}',
        'semi;colon:#hash?question',
        'tilde~(paren)[bracket]{brace}!*@,$',
        '%2e%2e/..hidden/.dot/...',
        '<tag>&amp;',
      ];
      if (flatNames) odd.push('double//slash', 'a b');
      for (const object of odd) await bucket.upload(object, bytes(object));
      for (const object of odd) {
        assert.equal(text(await bucket.read(object)), object);
        assert.equal((await bucket.attributes(object))?.sizeBytes, Buffer.byteLength(object));
      }
      assert.deepEqual((await names(bucket, '', { recursive: true })).sort(), odd.sort());
      for (const object of odd) await bucket.remove(object);
      assert.deepEqual(await names(bucket, '', { recursive: true }), []);
    });

    check('lets exactly one of eight create an object', async (bucket) => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) =>
          bucket.upload('dir/lease', bytes(`writer ${i}`), { ifAbsent: true }),
        ),
      );
      const won = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
      assert.equal(won.length, 1);
      assert.equal(text(await bucket.read('dir/lease')), `writer ${won[0]}`);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof ConditionError);
      }
      await bucket.remove('dir/lease');
      await bucket.upload('dir/lease', bytes('again'), { ifAbsent: true });
    });

    if (conditionalReplace) replaceContract(check);

    check('stops when it is told to', async (bucket) => {
      await bucket.upload('object', bytes('x'));
      const signal = AbortSignal.abort(new Error('enough'));
      await assert.rejects(bucket.read('object', { signal }), /enough/);
      await assert.rejects(bucket.attributes('object', { signal }), /enough/);
      await assert.rejects(bucket.upload('object', bytes('y'), { signal }), /enough/);
      await assert.rejects(bucket.remove('object', { signal }), /enough/);
      await assert.rejects(list(bucket, '', { signal }), /enough/);
      await assert.rejects(gather(bucket.readStream('object', { signal })), /enough/);
      assert.equal(text(await bucket.read('object')), 'x');
      const stop = new AbortController();
      const upload = bucket.upload('late', stopping(stop), { signal: stop.signal });
      await assert.rejects(upload, /midway/);
      assert.equal(await bucket.attributes('late'), undefined);
    });
  });
}

function replaceContract(
  check: (title: string, work: (bucket: Bucket) => Promise<void>) => void,
): void {
  check('replaces an object only while it is unchanged', async (bucket) => {
    await bucket.upload('object', bytes('one'));
    const first = (await bucket.attributes('object'))!.version;
    await bucket.upload('object', bytes('two'), { ifMatch: first });
    assert.equal(text(await bucket.read('object')), 'two');
    const late = bucket.upload('object', bytes('three'), { ifMatch: first });
    await assert.rejects(late, ConditionError);
    assert.equal(text(await bucket.read('object')), 'two');
    await bucket.remove('object');
    const gone = bucket.upload('object', bytes('four'), { ifMatch: first });
    await assert.rejects(gone, ConditionError);
    assert.equal(await bucket.attributes('object'), undefined);
  });

  check('lets exactly one of eight replace a version', async (bucket) => {
    await bucket.upload('object', bytes('start'));
    const version = (await bucket.attributes('object'))!.version;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) =>
        bucket.upload('object', bytes(`writer ${i}`), { ifMatch: version }),
      ),
    );
    const won = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
    assert.equal(won.length, 1);
    assert.equal(text(await bucket.read('object')), `writer ${won[0]}`);
  });
}

export async function list(
  bucket: Bucket,
  prefix: string,
  options?: ListOptions,
): Promise<ListEntry[]> {
  return Array.fromAsync(bucket.list(prefix, options));
}

export async function names(
  bucket: Bucket,
  prefix: string,
  options?: ListOptions,
): Promise<string[]> {
  return (await list(bucket, prefix, options)).map((entry) => entry.name);
}

export async function gather(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(stream));
}

/** Bytes of which no two megabytes are alike. */
export function patterned(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 2654435761);
  return new Uint8Array(words.buffer, 0, length);
}

/** One buffer for all pieces, as a source may reuse it. */
async function* pieces(texts: readonly string[]): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(64);
  for (const piece of texts) {
    const { written } = new TextEncoder().encodeInto(piece, buffer);
    yield buffer.subarray(0, written);
    await Promise.resolve();
  }
}

async function* breaking(): AsyncGenerator<Uint8Array> {
  yield bytes('new');
  await Promise.resolve();
  throw new Error('the source broke');
}

async function* stopping(stop: AbortController): AsyncGenerator<Uint8Array> {
  yield bytes('a part');
  await Promise.resolve();
  stop.abort(new Error('stopped midway'));
  yield bytes('another part');
}

async function inParallel<T>(
  workers: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: workers }, worker));
}
