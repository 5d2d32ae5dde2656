import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { nodeDisk } from '#/lib/disk.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import type { RemoteEffects } from './effects.ts';
import { isTransient } from './failure.ts';
import { RemoteBucket } from './remote-bucket.ts';
import type { Body, ObjectService, Span } from './service.ts';

const CONTENT = Buffer.from('0123456789');

/** An answer of the scripted service that is no success. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number) {
    super('the test says so');
    this.status = status;
  }
}

type Get = (span: Span, signal: AbortSignal) => Promise<Body>;

function bodyOf({ start, end }: Span, bytes = CONTENT.subarray(start, end)): Body {
  const last = start + bytes.length - 1;
  return {
    version: '1',
    stream: Readable.from([bytes]),
    sizeBytes: bytes.length,
    range: `bytes ${start}-${last}/${CONTENT.length}`,
  };
}

/** A bucket whose reads are answered by `get`, without a jitter, on a clock that stands still. */
function setUp(get: Get, effects: Partial<RemoteEffects> = {}) {
  const clock = new ManualClock(1_000_000);
  const metrics = new Metrics();
  const unused = () => Promise.reject(new Error('unused'));
  let gets = 0;
  const service: ObjectService = {
    name: 'test://bucket',
    label: 'bucket',
    partBytes: 1024,
    maxParts: 10,
    parallelParts: 1,
    words: {
      failureOf: (thrown) => ({
        code: (thrown as Error).name,
        status: thrown instanceof Refusal ? thrown.status : 0,
        message: (thrown as Error).message,
        retryAfterSeconds: undefined,
      }),
      isRetryable: isTransient,
      explain: ({ status, message }) => `the server answered ${status}: ${message}`,
      meaningOf: () => 'other',
    },
    listPage: unused,
    get: (_, span, signal) => {
      gets++;
      return get(span, signal);
    },
    head: unused,
    put: unused,
    startParts: unused,
    remove: unused,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const bucket = new RemoteBucket(
    service,
    { maxAttempts: 10, answerMs: 120_000 },
    {
      clock,
      random: { next: () => 0.5 },
      disk: nodeDisk,
      log: new MemoryLog(),
      metrics,
      environment: {},
      maxQps: 0,
      hedging: undefined,
      ...effects,
    },
  );
  return { bucket, clock, metrics, gets: () => gets };
}

/** Never answers, and ends with the signal. */
const hang: Get = (_span, signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });

test('a read that is never answered ends after five minutes, an attempt after 30 s', async () => {
  const { bucket, clock, gets } = setUp(hang);
  const read = bucket.read('x', { length: 5 });
  const rejected = assert.rejects(read, (thrown: Error) => {
    assert.ok(thrown instanceof UnavailableError);
    assert.match(thrown.message, /^cannot read "x": .*no answer within [\d.]+ ms/);
    return true;
  });
  await clock.advance(29_000);
  assert.equal(gets(), 1);
  await clock.advance(2_000);
  assert.equal(gets(), 2);
  await clock.advance(5 * 60_000);
  await rejected;
  assert.ok(gets() <= 10, String(gets()));
  assert.equal(clock.sleeping, 0);
});

test('retries are kept to half of the operations, and a hundred', async () => {
  const refuse = () => Promise.reject(new Refusal(500));
  const { bucket, clock, gets, metrics } = setUp(refuse);
  let refused = 0;
  for (let i = 0; i < 100; i++) {
    void bucket.read('x', { length: 5 }).catch((thrown: Error) => {
      if (thrown.message.endsWith('too many requests fail')) refused++;
    });
    await clock.advance(0);
    await clock.advance(4_999);
  }
  await clock.advance(600_000);
  assert.ok(gets() <= 100 + 100 + 50, String(gets()));
  const text = await metrics.text();
  const counted = Number(/^hindsight_objstore_retries_refused_total\{.*\} (\d+)$/m.exec(text)![1]);
  assert.equal(counted, refused);
});

test('a provider that is down is asked once in a while, and again as soon as it answers', async () => {
  let isUp = false;
  const { bucket, clock, gets } = setUp((span) =>
    isUp ? Promise.resolve(bodyOf(span)) : Promise.reject(new Refusal(500)),
  );
  const read = () => bucket.read('x', { length: 5 });
  const first = read().catch((thrown: Error) => thrown.message);
  await clock.advance(0);
  await clock.advance(120_000);
  assert.match(String(await first), /the server answered 500/);
  const before = gets();
  const probe = read().catch((thrown: Error) => thrown.message);
  await clock.advance(0);
  const refused = Array.from({ length: 50 }, () =>
    assert.rejects(
      read(),
      /^UnavailableError: test:\/\/bucket is out of reach since 1970-01-01T00:16:/,
    ),
  );
  await Promise.all(refused);
  await clock.advance(1_000);
  assert.match(String(await probe), /is out of reach since/);
  assert.equal(gets(), before + 1);
  isUp = true;
  await clock.advance(60_000);
  assert.equal(Buffer.from(await read()).toString(), '01234');
  assert.equal(Buffer.from(await read()).toString(), '01234');
});

test('a stalled body is read on after 30 s, from where it stalled', async () => {
  const spans: Span[] = [];
  const { bucket, clock } = setUp((span) => {
    spans.push(span);
    if (spans.length > 1) return Promise.resolve(bodyOf(span));
    const stalled = new Readable({ read: () => undefined });
    stalled.push(CONTENT.subarray(0, 3));
    return Promise.resolve({ ...bodyOf(span), stream: stalled });
  });
  const read = bucket.read('x', { length: 10 });
  for (let i = 0; i < 32; i++) await clock.advance(1_000);
  assert.equal(Buffer.from(await read).toString(), '0123456789');
  assert.deepEqual(
    spans.map(({ start, end }) => [start, end]),
    [
      [0, 10],
      [3, 10],
    ],
  );
  assert.equal(clock.sleeping, 0);
});

test('bytes of another range, more or fewer of them, are read again', async () => {
  const wrong: ((span: Span) => Body)[] = [
    (span) => bodyOf({ ...span, start: 1 }),
    (span) => ({ ...bodyOf(span), range: undefined, sizeBytes: 10 }),
    (span) => ({ ...bodyOf(span), range: 'bytes 2-3/10' }),
    (span) => ({ ...bodyOf(span), sizeBytes: 3 }),
    (span) => ({ ...bodyOf(span), stream: Readable.from([CONTENT]) }),
  ];
  for (const answer of wrong) {
    let asked = 0;
    const { bucket, clock } = setUp((span) => {
      return Promise.resolve(asked++ === 0 ? answer(span) : bodyOf(span));
    });
    const read = bucket.read('x', { offset: 2, length: 4 });
    for (let i = 0; i < 5; i++) await clock.advance(200);
    assert.equal(Buffer.from(await read).toString(), '2345', answer.toString());
    assert.equal(asked, 2);
  }
});

test('a slow read is sent again, if that is enabled', async () => {
  let slow = false;
  const { bucket, clock, gets, metrics } = setUp(
    async (span, signal) => {
      if (slow) {
        slow = false;
        return hang(span, signal);
      }
      await clock.sleep(10, signal);
      return bodyOf(span);
    },
    { hedging: { upTo: 3, quantile: 0.95 } },
  );
  const read = async () => {
    const reading = bucket.read('x', { length: 5 });
    await clock.advance(50);
    return Buffer.from(await reading).toString();
  };
  for (let i = 0; i < 30; i++) assert.equal(await read(), '01234');
  slow = true;
  assert.equal(await read(), '01234');
  assert.equal(gets(), 32);
  assert.match(
    await metrics.text(),
    /^hindsight_objstore_hedged_requests_total\{bucket="bucket",outcome="won"\} 1$/m,
  );
});
