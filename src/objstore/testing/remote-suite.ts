import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
import { ConditionError } from '../bucket.ts';
import type { Bucket } from '../bucket.ts';
import { gather, names, patterned } from './bucket-suite.ts';
import type { ImpatientClock } from './impatient-clock.ts';
import type { Misbehaviour } from './s3-server.ts';

const MIB = 1024 * 1024;
/** Below what the impatient clock skips. */
const HANG_MS = 150;

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (from: Uint8Array) => new TextDecoder().decode(from);

/** A server that can be made to misbehave, and what came to it. */
export interface FaultyServer {
  /** Misbehaves on the next `times` requests. */
  fail(times: number, fault: Misbehaviour): void;
  requests(): readonly {
    readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  }[];
  forget(): void;
}

interface RemoteSuiteOptions {
  /** An empty bucket, with keys added to its configuration. Called once a test. */
  readonly open: (config?: Readonly<Record<string, unknown>>) => Promise<Bucket>;
  /** The keys that allow so many attempts. */
  readonly attempts: (count: number) => Readonly<Record<string, unknown>>;
  readonly server: () => FaultyServer;
  readonly clock: ImpatientClock;
  /** The header of ranges, in lower case. */
  readonly rangeHeader?: string;
  /** How this provider says "slow down". */
  readonly throttles: readonly Misbehaviour[];
}

/** What every provider over a network must do when its server does not do what it should. */
export function remoteSuite(name: string, options: RemoteSuiteOptions): void {
  const { open, attempts, clock, rangeHeader = 'range', throttles } = options;
  const fail = (times: number, fault: Misbehaviour) => options.server().fail(times, fault);
  /** An open bucket with the object `x`; what was asked until then is forgotten. */
  const opened = async (
    config: Readonly<Record<string, unknown>> = {},
    content: Uint8Array = bytes('content'),
  ) => {
    const bucket = await open(config);
    await bucket.upload('x', content);
    clock.waits.length = 0;
    options.server().forget();
    return bucket;
  };

  describe(`${name} under faults`, () => {
    const transient: readonly Misbehaviour[] = [
      { kind: 'status', status: 503 },
      { kind: 'status', status: 500 },
      { kind: 'reset' },
    ];
    for (const fault of [...throttles, ...transient]) {
      const what = fault.kind === 'status' ? `${fault.status} ${fault.code ?? ''}` : fault.kind;
      test(`tries again after ${what.trim()}`, async () => {
        await using bucket = await opened();
        fail(5, fault);
        assert.equal(text(await bucket.read('x')), 'content');
        assert.equal(options.server().requests().length, 6);
        fail(2, fault);
        await bucket.upload('y', bytes('y'));
        fail(2, fault);
        assert.equal((await bucket.attributes('y'))?.sizeBytes, 1);
        fail(2, fault);
        assert.deepEqual(await names(bucket, ''), ['x', 'y']);
        fail(2, fault);
        await bucket.remove('y');
      });
    }

    test('gives up after the configured attempts, and does as Retry-After says', async () => {
      await using bucket = await opened(attempts(3));
      fail(99, { kind: 'status', status: 503, retryAfter: 4 });
      await assert.rejects(bucket.read('x'), (thrown: Error) => {
        assert.ok(thrown instanceof UnavailableError);
        assert.match(
          thrown.message,
          /^cannot read "x": http:\/\/127\.0\.0\.1:\d+ answered 503 .*\(3 attempts\)$/,
        );
        return true;
      });
      assert.equal(options.server().requests().length, 3);
      assert.deepEqual(clock.waits, [4000, 4000]);
    });

    test('does not try again what will not get better', async () => {
      await using bucket = await opened();
      for (const status of [400, 403, 501]) {
        options.server().forget();
        fail(99, { kind: 'status', status });
        await assert.rejects(bucket.upload('x', bytes('x')), UnavailableError);
        assert.equal(options.server().requests().length, 1);
      }
    });

    test('goes on where a broken answer ended, on the same version', async () => {
      const big = patterned(3 * MIB);
      await using bucket = await opened({}, big);
      fail(2, { kind: 'truncate', bytes: MIB, close: true });
      assert.ok(Buffer.from(big).equals(await gather(bucket.readStream('x'))));
      const second = options.server().requests()[1];
      assert.match(String(second?.headers[rangeHeader]), /^bytes=[1-9]\d*-$/);

      fail(1, { kind: 'truncate', bytes: MIB, close: true });
      const part = await bucket.read('x', { offset: 100, length: 2 * MIB });
      assert.ok(Buffer.from(big.subarray(100, 100 + 2 * MIB)).equals(part));

      fail(1, { kind: 'truncate', bytes: MIB, close: true });
      const stream = bucket.readStream('x')[Symbol.asyncIterator]();
      await stream.next();
      await bucket.upload('x', bytes('other'));
      await assert.rejects(async () => {
        while ((await stream.next()).done !== true);
      }, /was replaced while it was read; read it again/);
    });

    test('gives up on a server that hangs before or within an answer', async () => {
      const http_config = { response_header_timeout: `${HANG_MS}ms` };
      const big = patterned(3 * MIB);
      await using bucket = await opened({ ...attempts(2), http_config }, big);
      fail(1, { kind: 'hang' });
      assert.ok(Buffer.from(big).equals(await bucket.read('x')));
      fail(1, { kind: 'truncate', bytes: MIB, close: false });
      assert.ok(Buffer.from(big).equals(await bucket.read('x')));
      fail(99, { kind: 'hang' });
      await assert.rejects(
        bucket.read('x'),
        /TimeoutError: no answer within 150 ms \(2 attempts\)$/,
      );
      await assert.rejects(bucket.attributes('x'), /cannot look up "x": no answer from/);
    });

    test('stops at once when told to, also while it hangs', async () => {
      await using bucket = await opened();
      fail(99, { kind: 'hang' });
      const stop = new AbortController();
      const read = bucket.read('x', { signal: stop.signal });
      setTimeout(() => stop.abort(new Error('enough')), 20);
      await assert.rejects(read, /enough/);
    });

    test('knows its own conditional write after a lost answer', async () => {
      await using bucket = await opened();
      fail(1, { kind: 'lose-reply' });
      await bucket.upload('lease', bytes('mine'), { ifAbsent: true });
      const yours = bucket.upload('lease', bytes('yours'), { ifAbsent: true });
      await assert.rejects(yours, ConditionError);
      const { version } = (await bucket.attributes('lease'))!;
      fail(1, { kind: 'lose-reply' });
      await bucket.upload('lease', bytes('renewed'), { ifMatch: version });
      fail(1, { kind: 'reset' });
      const late = bucket.upload('lease', bytes('late'), { ifMatch: version });
      await assert.rejects(late, ConditionError);
      assert.equal(text(await bucket.read('lease')), 'renewed');
    });

    test('reads an object again that arrives damaged', async () => {
      const big = patterned(MIB + 3);
      await using bucket = await opened({}, big);
      fail(1, { kind: 'damage', at: 77_777 });
      assert.ok(Buffer.from(big).equals(await bucket.read('x')));
      assert.equal(options.server().requests().length, 2);
      fail(1, { kind: 'damage', at: 3 });
      await assert.rejects(
        gather(bucket.readStream('x')),
        /x arrived damaged: its \w+ is .*; read it again/,
      );
    });
  });
}

/** Checks that whatever is asked of `bucket` fails with `message`, and closes it. */
export async function failsWith(bucket: Bucket, message: RegExp): Promise<void> {
  for (const work of [
    () => bucket.read('x'),
    () => bucket.attributes('x'),
    () => bucket.upload('x', bytes('x')),
    () => names(bucket, ''),
  ]) {
    await assert.rejects(work(), (thrown: Error) => {
      assert.ok(thrown instanceof UnavailableError, String(thrown));
      assert.match(thrown.message, message);
      return true;
    });
  }
  await bucket[Symbol.asyncDispose]();
}

/** `whole` in pieces of an odd size. */
export async function* streamOf(
  whole: Uint8Array,
  pieceBytes = 777_777,
): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < whole.length; start += pieceBytes) {
    yield whole.subarray(start, start + pieceBytes);
    await Promise.resolve();
  }
}
