import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { serve } from '#/grpc/method.ts';
import type { Service } from '#/grpc/method.ts';
import { seededRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { StoreDefinition } from '#/proto/store.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { SeriesBatch, Store, StoreSeries } from '#/storeapi/store.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { peerInfo, startPeer, startQuery } from './support/components.ts';
import type { Answer } from './support/components.ts';

const ask = { query: 'up', time: '100' };

function series(zone: string): StoreSeries {
  const samples = new SampleBuffer();
  for (let time = 0; time <= 100_000; time += 10_000) samples.pushFloat(time, 1);
  const chunks = encodeSamples(samples).map(({ mint, maxt, encoding, data }) => ({
    mint,
    maxt,
    raw: { encoding, data },
  }));
  return { labels: Labels.fromObject({ __name__: 'up', zone }), chunks };
}

const batch = (...zones: readonly string[]): SeriesBatch => ({
  series: zones.map(series),
  warnings: [],
});

function storeOf(answer: Store['series']): Store {
  const names = async () => ({ names: [], warnings: [] });
  return { info: () => peerInfo, series: answer, labelNames: names, labelValues: names };
}

const good = storeOf(async function* () {
  yield batch('good');
});

/** A StoreAPI whose Series frames are these bytes, whatever they are. */
function rawService(frames: () => Iterable<Uint8Array>): Service {
  const bytes = {
    encode: (frame: Uint8Array) => ({ finish: () => frame }),
    decode: (frame: Uint8Array) => frame,
  };
  const { labelNames, labelValues, series: method } = StoreDefinition.methods;
  const definition = {
    fullName: StoreDefinition.fullName,
    methods: {
      labelNames,
      labelValues,
      series: { ...method, requestType: bytes, responseType: bytes },
    },
  };
  const none = () => Promise.reject(new Error('not asked'));
  return serve(
    definition as never,
    {
      series: async function* () {
        yield* frames();
      },
      labelNames: none,
      labelValues: none,
    } as never,
  );
}

function zonesOf({ body }: Answer): string[] {
  return (body.data?.result ?? []).map(({ metric }) => metric['zone'] ?? '').sort();
}

interface Options {
  readonly responseTimeoutMs?: number;
  readonly service?: Service;
}

/** A querier over a good endpoint and one that behaves as `bad` does. */
async function withBad(
  bad: Store,
  options: Options,
  check: (
    ask: (params?: Record<string, string>) => Promise<Answer>,
    address: string,
  ) => Promise<void>,
): Promise<void> {
  await using one = await startPeer(good);
  await using other = await startPeer(bad, options.service);
  const { responseTimeoutMs = 0 } = options;
  await using querier = await startQuery([one.address, other.address], { responseTimeoutMs });
  await check((params = {}) => querier.query({ ...ask, ...params }), other.address);
  const alone = await querier.query({ ...ask, 'storeMatch[]': `{__address__="${one.address}"}` });
  assert.deepEqual(zonesOf(alone), ['good']);
  assert.equal(alone.body.warnings, undefined);
}

function assertPartial(answer: Answer, address: string, why: RegExp): void {
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.ok(zonesOf(answer).includes('good'));
  const warnings = (answer.body.warnings ?? []).join('\n');
  assert.ok(warnings.includes(address), warnings);
  assert.match(warnings, why);
  assert.equal(answer.cacheControl, 'no-store');
  assert.equal(answer.body.missing?.[0]?.address, address);
}

describe('an endpoint', () => {
  test('that sends series unsorted and twice is put in order', async () => {
    const bad = storeOf(async function* () {
      yield batch('z', 'a', 'm');
      yield batch('a', 'z');
    });
    await withBad(bad, {}, async (query) => {
      const answer = await query();
      assert.equal(answer.status, 200);
      assert.deepEqual(zonesOf(answer), ['a', 'good', 'm', 'z']);
    });
  });

  test('that dies mid-stream leaves what it sent, and a warning', async () => {
    const bad = storeOf(async function* () {
      yield batch('half');
      await delay(20);
      throw new Error('power cut');
    });
    await withBad(bad, {}, async (query, address) => {
      const answer = await query();
      assertPartial(answer, address, /power cut/);
      assert.deepEqual(zonesOf(answer), ['good', 'half']);
      const strict = await query({ partial_response: 'false' });
      assert.equal(strict.status, 422);
      assert.match(strict.body.error!, /power cut/);
    });
  });

  const silent = storeOf(async function* (_, { signal }) {
    await new Promise((wake) => signal.addEventListener('abort', wake, { once: true }));
    yield batch();
  });

  test('that never answers is given up after the response timeout', async () => {
    await withBad(silent, { responseTimeoutMs: 300 }, async (query, address) => {
      assertPartial(await query(), address, /failed to receive any data in 300ms/);
    });
  });

  test('that never answers ends with the timeout of the query, and no other query waits', async () => {
    await withBad(silent, {}, async (query) => {
      const { status, body } = await query({ timeout: '300ms' });
      assert.equal(status, 503);
      assert.equal(body.errorType, 'timeout');
    });
  });

  test('that never ends is stopped by the bytes of the query, which alone fails', async () => {
    let stopped = false;
    const bad = storeOf(async function* (_, { signal }) {
      const one = series('flood');
      const flood: SeriesBatch = { series: Array.from({ length: 200 }, () => one), warnings: [] };
      while (!signal.aborted) {
        yield flood;
        await delay(0);
      }
      stopped = true;
    });
    await withBad(bad, {}, async (query) => {
      const { status, body } = await query();
      assert.equal(status, 422, JSON.stringify(body));
      assert.match(body.error!, /64000000|bytes/);
      await delay(200);
      assert.equal(stopped, true);
    });
  });

  test('whose frames are no messages is a warning', async () => {
    const service = rawService(() => [Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f)]);
    await withBad(good, { service }, async (query, address) => {
      assertPartial(await query(), address, new RegExp(address));
    });
  });

  test('may send anything at all: the others are answered and nothing ends', async () => {
    const random = seededRandom(11);
    const pick = (below: number) => Math.floor(random.next() * below);
    const frames = function* () {
      for (let i = 0; i < 5; i++) {
        yield Uint8Array.from({ length: pick(200) }, () => pick(256));
      }
    };
    await withBad(good, { service: rawService(frames) }, async (query) => {
      for (let i = 0; i < 150; i++) {
        const answer = await query();
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        assert.ok(zonesOf(answer).includes('good'));
      }
    });
  });

  test('whose chunks are garbage does not fail the query', async () => {
    const random = seededRandom(3);
    const bad = storeOf(async function* () {
      const { labels, chunks } = series('garbage');
      const [chunk] = chunks;
      const data = chunk!.raw!.data.slice();
      for (let i = 0; i < 4; i++) data[Math.floor(random.next() * data.length)] = 0xff;
      yield {
        series: [{ labels, chunks: [{ ...chunk!, raw: { ...chunk!.raw!, data } }] }],
        warnings: [],
      };
    });
    let warned = 0;
    await withBad(bad, {}, async (query) => {
      for (let i = 0; i < 50; i++) {
        const answer = await query();
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        assert.ok(zonesOf(answer).includes('good'));
        if (answer.body.warnings === undefined) continue;
        warned++;
        assert.match(
          answer.body.warnings.join(),
          /series up\{zone="garbage"\}: chunk from 0 to 100000 ms: /,
        );
        assert.equal(answer.cacheControl, 'no-store');
        const strict = await query({ partial_response: 'false' });
        assert.ok([200, 422].includes(strict.status), JSON.stringify(strict.body));
      }
      assert.ok(warned > 0);
    });
  });
});
