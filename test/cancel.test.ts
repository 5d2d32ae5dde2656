import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { Labels } from '#/model/labels.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { Store, StoreContext } from '#/storeapi/store.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { peerInfo, startPeer, startQuery } from './support/components.ts';

/** Generous, since it bounds a busy machine; what is usual is far below and shown. */
const SOON_MS = 2000;

interface Stream {
  readonly began: Promise<void>;
  /** When the store was told to stop. */
  readonly cancelled: Promise<number>;
  readonly store: Store;
}

/** A store that sends a series and then nothing for as long as it is let. */
function endless(): Stream {
  const began = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<number>();
  const samples = new SampleBuffer();
  samples.pushFloat(90_000, 1);
  const chunks = encodeSamples(samples).map(({ mint, maxt, ...raw }) => ({ mint, maxt, raw }));
  const labels = Labels.fromObject({ __name__: 'up' });
  const names = async () => ({ names: [], warnings: [] });
  return {
    began: began.promise,
    cancelled: cancelled.promise,
    store: {
      info: () => peerInfo,
      labelNames: names,
      labelValues: names,
      async *series(_request: unknown, { signal }: StoreContext) {
        yield { series: [{ labels, chunks }], warnings: [] };
        began.resolve();
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            cancelled.resolve(performance.now());
            resolve();
          });
        });
      },
    },
  };
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what}: not within ${SOON_MS} ms`)), SOON_MS);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

describe('a client that goes away', () => {
  test('ends the streams of every store that its query reads', async (t) => {
    const streams = [endless(), endless()];
    await using one = await startPeer(streams[0]!.store);
    await using other = await startPeer(streams[1]!.store);
    await using querier = await startQuery([one.address, other.address]);
    const client = request(`${querier.url}/api/v1/query?query=sum(up)&time=100`);
    client.on('error', () => undefined);
    client.end();
    await within(Promise.all(streams.map(({ began }) => began)), 'the stores are asked');
    const goneAt = performance.now();
    client.destroy();
    const told = await within(
      Promise.all(streams.map(({ cancelled }) => cancelled)),
      'the stores are told',
    );
    t.diagnostic(`the last store was told after ${(Math.max(...told) - goneAt).toFixed(1)} ms`);
  });

  test('gives its place to the next in line', async () => {
    const { store, began, cancelled } = endless();
    await using peer = await startPeer(store);
    await using querier = await startQuery([peer.address], { maxConcurrent: 1 });
    const client = request(`${querier.url}/api/v1/query?query=up&time=100`);
    client.on('error', () => undefined);
    client.end();
    await within(began, 'the store is asked');
    const next = querier.query({ query: '1 + 1', time: '100' });
    client.destroy();
    await within(cancelled, 'the store is told');
    assert.equal((await within(next, 'the next query')).status, 200);
  });

  test('takes its queries out of the line', async () => {
    const { store, began } = endless();
    await using peer = await startPeer(store);
    await using querier = await startQuery([peer.address], { maxConcurrent: 1 });
    const first = request(`${querier.url}/api/v1/query?query=up&time=100`);
    const second = request(`${querier.url}/api/v1/query?query=up&time=100`);
    for (const client of [first, second]) {
      client.on('error', () => undefined);
      client.end();
      if (client === first) await within(began, 'the store is asked');
    }
    await once(second, 'finish');
    second.destroy();
    first.destroy();
    const reply = querier.query({ query: '1 + 1', time: '100' });
    assert.equal((await within(reply, 'a query after them')).status, 200);
  });
});
