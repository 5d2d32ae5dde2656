import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Channel } from '#/grpc/client.ts';
import { systemClock } from '#/lib/clock.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { isStale } from '#/model/stale.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { RemoteStore, fetchInfo } from '#/storeapi/client.ts';
import type { EndpointInfo } from '#/storeapi/client.ts';
import {
  exemplarsClient,
  metricMetadataClient,
  rulesClient,
  statusClient,
  targetsClient,
} from '#/storeapi/endpoint-apis.ts';
import type { SeriesRequest } from '#/storeapi/store.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import {
  eventually,
  findProgram,
  findPrometheus3,
  freePort,
  getJson,
  startPrometheus,
  temporaryDirectory,
} from './support/servers.ts';
import type { PrometheusServer } from './support/servers.ts';
import { channelTo, rules, startSidecar, untilReady } from './support/sidecar.ts';
import type { RunningSidecar } from './support/sidecar.ts';
import { SAMPLES, STALE_AT, STEP_MS, writeSamples } from './support/written-samples.ts';

const { signal } = new AbortController();
const context = { signal, tenant: '' };

const ask: SeriesRequest = {
  mint: MIN_TIME,
  maxt: MAX_TIME,
  matchers: [],
  maxResolutionMs: 0,
  aggregates: ['raw'],
  skipChunks: false,
  partialResponse: 'ABORT',
  withoutReplicaLabels: [],
  limit: 0,
  batchSize: 64,
};

const config = (directory: string) => `rule_files: [${join(directory, 'rules/*.yml')}]
scrape_configs:
- job_name: self
  static_configs: [{targets: [TARGET]}]
- job_name: dropped
  static_configs: [{targets: ['127.0.0.1:1']}]
  relabel_configs: [{action: drop}]
`;

function samplesOf(chunks: readonly { readonly raw?: { encoding: number; data: Uint8Array } }[]) {
  const samples = new SampleBuffer();
  for (const { raw } of chunks) decodeChunk(raw!, MIN_TIME, MAX_TIME, samples);
  return samples;
}

interface Matrix {
  readonly data: {
    readonly result: readonly {
      readonly metric: Record<string, string>;
      readonly values?: readonly [number, string][];
      readonly histograms?: readonly [number, { count: string; sum: string }][];
    }[];
  };
}

for (const [name, binary] of [
  ['the system’s Prometheus', findProgram('prometheus')],
  ['Prometheus 3', process.env['PROMETHEUS_3'] ?? findPrometheus3()],
] as const) {
  if (binary === undefined) continue;
  describe(name, { timeout: 120_000 }, () => {
    const opened = new AsyncDisposableStack();
    const start = Math.floor(Date.now() / 1000) * 1000 - SAMPLES * STEP_MS;
    let prometheus: PrometheusServer;
    let sidecar: RunningSidecar;
    let channel: Channel;
    let info: EndpointInfo;
    let store: RemoteStore;

    before(async () => {
      const directory = opened.use(await temporaryDirectory()).path;
      const port = await freePort();
      await mkdir(join(directory, 'rules'), { recursive: true });
      await writeFile(join(directory, 'rules/one.yml'), rules);
      prometheus = opened.use(
        await startPrometheus({
          binary,
          directory,
          port,
          externalLabels: { cluster: 'eu', replica: '0' },
          config: config(directory).replace('TARGET', `'127.0.0.1:${port}'`),
          flags: [
            '--web.enable-remote-write-receiver',
            '--web.enable-lifecycle',
            // The last two change how chunks are written; who does not know them says so and goes on.
            '--enable-feature=native-histograms,exemplar-storage,xor2-encoding,histograms-st-encoding',
          ],
        }),
      );
      await writeSamples(prometheus, start);
      sidecar = opened.use(await startSidecar(prometheus));
      await untilReady(sidecar);
      channel = opened.use(channelTo(sidecar));
      info = await fetchInfo(channel, { signal });
      store = new RemoteStore({
        channel,
        clock: systemClock,
        info: () => info.store!,
        responseTimeoutMs: 0,
      });
    });
    after(() => opened.disposeAsync());

    const seriesOf = async (request: Partial<SeriesRequest>) => {
      const found: { labels: Labels; chunks: readonly { raw?: never }[] }[] = [];
      for await (const batch of store.series({ ...ask, ...request }, context)) {
        found.push(...(batch.series as never[]));
      }
      return found;
    };

    test('it tells its labels, its range and its APIs', () => {
      assert.equal(info.component, 'sidecar');
      assert.deepEqual(info.labelSets.map(String), ['{cluster="eu", replica="0"}']);
      assert.equal(info.store?.maxt, MAX_TIME);
      assert.ok(info.rules && info.targets && info.metricMetadata && info.exemplars && info.status);
    });

    test('chunks hold what the query API answers, stale marker included', async () => {
      const [series] = await seriesOf({
        matchers: [newMatcher('=', '__name__', 'written_floats')],
      });
      assert.equal(
        String(series!.labels),
        '{__name__="written_floats", cluster="eu", pod="a", replica="0"}',
      );
      const samples = samplesOf(series!.chunks);
      assert.equal(samples.length, SAMPLES);
      assert.ok(isStale(samples.halves, STALE_AT));
      const end = (start + SAMPLES * STEP_MS) / 1000;
      const query = `written_floats[${2 * SAMPLES}s]`;
      const answer = (await getJson(
        `${prometheus.url}/api/v1/query?query=${query}&time=${end}`,
      )) as Matrix;
      const wanted = answer.data.result[0]!.values!;
      const got = Array.from({ length: SAMPLES }, (_, i) => i)
        .filter((i) => i !== STALE_AT)
        .map((i) => [samples.times[i]! / 1000, samples.values[i]]);
      assert.deepEqual(
        got,
        wanted.map(([time, value]) => [time, Number(value)]),
      );
    });

    test('native histograms arrive in their chunks', async () => {
      const [series] = await seriesOf({
        matchers: [newMatcher('=', '__name__', 'written_histograms')],
      });
      const samples = samplesOf(series!.chunks);
      assert.equal(samples.length, SAMPLES);
      const end = (start + SAMPLES * STEP_MS) / 1000;
      const answer = (await getJson(
        `${prometheus.url}/api/v1/query?query=written_histograms[${2 * SAMPLES}s]&time=${end}`,
      )) as Matrix;
      assert.deepEqual(
        samples.histograms!.map((histogram) => [histogram!.count, histogram!.sum]),
        answer.data.result[0]!.histograms!.map(([, { count, sum }]) => [
          Number(count),
          Number(sum),
        ]),
      );
    });

    test('everything Prometheus has comes sorted, and equals its series API', async () => {
      const matchers = [newMatcher('=~', '__name__', '.+')];
      const maxt = await eventually('a scrape', async () => {
        const now = Date.now();
        const found = await seriesOf({ matchers, maxt: now, skipChunks: true });
        return found.length > 100 ? now : undefined;
      });
      const keysOf = async (request: Partial<SeriesRequest>) =>
        (await seriesOf({ matchers, maxt, ...request })).map(({ labels }) => labels);
      const whole = await keysOf({});
      assert.deepEqual(whole.map(String), whole.toSorted(compareLabels).map(String));
      const bare = await keysOf({ skipChunks: true });
      assert.deepEqual(whole.map(String), bare.map(String));
    });

    test('replica labels are left out where asked', async () => {
      const [series] = await seriesOf({
        matchers: [newMatcher('=', '__name__', 'written_floats'), newMatcher('=', 'replica', '0')],
        withoutReplicaLabels: ['replica'],
        skipChunks: true,
      });
      assert.equal(String(series!.labels), '{__name__="written_floats", cluster="eu", pod="a"}');
    });

    test('label names and values include the external ones', async () => {
      const request = { ...ask, matchers: [newMatcher('=', '__name__', 'written_floats')] };
      const { names } = await store.labelNames(request, context);
      assert.deepEqual(names, ['__name__', 'cluster', 'pod', 'replica']);
      const values = async (label: string) =>
        (await store.labelValues({ ...request, label }, context)).names;
      assert.deepEqual(await values('pod'), ['a']);
      assert.deepEqual(await values('cluster'), ['eu']);
    });

    test('a selector that Prometheus refuses is the caller’s fault', async () => {
      await assert.rejects(seriesOf({ matchers: [newMatcher('=', 'cluster', 'eu')] }), {
        name: 'BadInputError',
      });
    });

    test('rules have external labels and strict groups', async () => {
      const request = {
        type: 0,
        partialResponseStrategy: 0,
        matcherString: [],
        ruleName: [],
        ruleGroup: [],
        file: [],
      } as const;
      const group = await eventually('the alert fires', async () => {
        for await (const { result } of rulesClient(channel).rules(request, { signal })) {
          if (result?.$case !== 'group') continue;
          const alert = result.value.rules[1]?.result;
          if (alert?.$case === 'alert' && alert.value.alerts.length > 0) return result.value;
        }
        return undefined;
      });
      assert.equal(group.name, 'g');
      assert.equal(group.PartialResponseStrategy, 1);
      const [recording, alert] = group.rules.map((rule) => rule.result!);
      assert.deepEqual(recording!.value.labels?.labels, [
        { name: 'cluster', value: 'eu' },
        { name: 'replica', value: '0' },
      ]);
      assert.ok(alert!.$case === 'alert' && alert!.value.state === 3);
    });

    test('targets have external labels, the dropped ones too', async () => {
      const { activeTargets, droppedTargets } = await eventually('targets', async () => {
        const request = { state: 0, partialResponseStrategy: 0 } as const;
        for await (const { result } of targetsClient(channel).targets(request, { signal })) {
          assert.ok(result?.$case === 'targets');
          const { value } = result;
          if (value.activeTargets.length + value.droppedTargets.length === 2) return value;
        }
        return undefined;
      });
      const names = activeTargets[0]!.labels!.labels.map(({ name: label }) => label);
      assert.deepEqual(names, ['cluster', 'instance', 'job', 'replica']);
      assert.ok(droppedTargets[0]!.discoveredLabels!.labels.some(({ value }) => value === 'eu'));
    });

    test('metadata, exemplars and statistics come through', async () => {
      const metadata = await eventually('metadata of a scrape', async () => {
        const request = {
          metric: 'prometheus_build_info',
          limit: -1,
          partialResponseStrategy: 0,
        } as const;
        for await (const { result } of metricMetadataClient(channel).metricMetadata(request, {
          signal,
        })) {
          if (result?.$case === 'metadata' && result.value.metadata.size > 0) return result.value;
        }
        return undefined;
      });
      assert.equal(metadata.metadata.get('prometheus_build_info')!.metas[0]!.type, 'gauge');

      const request = {
        query: 'written_floats',
        start: BigInt(start),
        end: BigInt(start + SAMPLES * STEP_MS),
        partialResponseStrategy: 0,
      } as const;
      const exemplars = [];
      for await (const { result } of exemplarsClient(channel).exemplars(request, { signal })) {
        exemplars.push(result!.value);
      }
      const [data] = exemplars;
      assert.ok(typeof data === 'object');
      assert.ok(data.seriesLabels!.labels.some(({ value }) => value === 'eu'));
      assert.deepEqual(
        data.exemplars.map(({ value, ts }) => [value, ts]),
        [[42.5, start + 5000]],
      );

      for await (const { result } of statusClient(channel).tsdbStatistics(
        { tenant: '', limit: 3, partialResponseStrategy: 0, matchers: [] },
        { signal },
      )) {
        assert.ok(result?.$case === 'statistics');
        const entry = result.value.statistics.get('')!;
        assert.ok(entry.headStatistics!.numSeries > 100);
        assert.equal(entry.seriesCountByMetricName.length, 3);
      }
    });
  });
}

describe('a sidecar', { skip: findProgram('prometheus') === undefined, timeout: 120_000 }, () => {
  test('ends with an error when Prometheus has no external labels', async () => {
    await using prometheus = await startPrometheus();
    await using sidecar = await startSidecar(prometheus);
    await assert.rejects(sidecar.done, {
      name: 'BadInputError',
      message: /^Prometheus has no external labels.*set global\.external_labels/,
    });
  });

  test('waits for Prometheus, and is ready exactly while it answers', async () => {
    await using directory = await temporaryDirectory();
    const port = await freePort();
    const start = () =>
      startPrometheus({ directory: directory.path, port, externalLabels: { replica: '0' } });
    await using sidecar = await startSidecar({ url: `http://127.0.0.1:${port}` });
    const { runtime } = sidecar;
    const isUp = async () =>
      /^thanos_sidecar_prometheus_up (\d)$/m.exec(await runtime.metrics.text())![1];
    const refused = new RegExp(`127.0.0.1:${port}.*ECONNREFUSED`);
    await eventually('the reason', async () => refused.test(runtime.probe.reason) || undefined);
    {
      await using _ = await start();
      await untilReady(sidecar);
      assert.equal(await isUp(), '1');
    }
    await untilReady(sidecar, false);
    assert.equal(await isUp(), '0');
    using channel = channelTo(sidecar);
    await assert.rejects(fetchInfo(channel, { signal }), /Not ready/);
    await using _ = await start();
    await untilReady(sidecar);
  });
});
