import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Channel } from '#/grpc/client.ts';
import type { Service } from '#/grpc/method.ts';
import { serveGrpc } from '#/grpc/server.ts';
import { systemClock } from '#/lib/clock.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { systemRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { ExemplarsRequest } from '#/proto/exemplars.ts';
import type { ExemplarData } from '#/proto/exemplars.ts';
import { MetricMetadataRequest } from '#/proto/metadata.ts';
import { RuleGroup, RulesRequest } from '#/proto/rules.ts';
import { TSDBStatisticsEntry, TSDBStatisticsRequest } from '#/proto/status.ts';
import { ActiveTarget, TargetsRequest } from '#/proto/targets.ts';
import { PartialResponseStrategy } from '#/proto/types.ts';
import { exemplarsService, rulesService } from '#/storeapi/endpoint-apis.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { ApiProxy } from './api-proxy.ts';
import type { ApiEndpoint } from './endpoints.ts';
import { findExemplars } from './exemplars.ts';
import { findMetricMetadata } from './metric-metadata.ts';
import { findRules } from './rules.ts';
import { findTargets } from './targets.ts';
import { findTsdbStatistics } from './tsdb-statistics.ts';

const context = { signal: new AbortController().signal };

describe('ApiProxy', () => {
  test('asks every endpoint that serves the API; one that fails is a warning or the end', async () => {
    const net = new MemoryNet();
    const group = RuleGroup.fromPartial({ name: 'one', file: 'f' });
    const services = [rulesService({ rules: () => of({ $case: 'group', value: group }) })];
    await using server = await serve(net, services);
    const proxy = new ApiProxy({ serving: () => [endpoint(net, server), down(net)] }, Labels.empty);

    const found = await findRules(proxy, RulesRequest.fromPartial({}), [], context);
    assert.deepEqual(
      found.groups.map(({ name }) => name),
      ['one'],
    );
    assert.match(found.warnings[0]!, /^fetching rules from rules client down:1: /);

    const abort = RulesRequest.fromPartial({
      partialResponseStrategy: PartialResponseStrategy.ABORT,
    });
    await assert.rejects(findRules(proxy, abort, [], context), UnavailableError);
  });

  test('asks for exemplars of the selectors that an endpoint can have, in its own words', async () => {
    const net = new MemoryNet();
    const asked: string[] = [];
    const services = [
      exemplarsService({
        exemplars: ({ query }) => {
          asked.push(query);
          return of();
        },
      }),
    ];
    await using server = await serve(net, services);
    const leaf = endpoint(net, server, { cluster: 'a' });
    const querier = endpoint(net, server, { cluster: 'b' }, true);
    const proxy = new ApiProxy({ serving: () => [leaf, querier] }, Labels.empty);
    const query = 'rate(up{cluster="a"}[5m]) / on (x) up{job="j", cluster="b"}';
    await findExemplars(proxy, ExemplarsRequest.fromPartial({ query }), [], context);
    assert.deepEqual(asked.sort(), ['{__name__="up"}', '{job="j", cluster="b", __name__="up"}']);
  });
});

describe('findRules()', () => {
  const rules = [
    alert('down', { replica: 'a' }, { state: 1 }),
    alert('down', { replica: 'b' }, { state: 3 }),
    recording('sum', { replica: 'a', team: '{{ $labels.team }}' }),
  ];
  const source = {
    rules: () =>
      of(
        {
          $case: 'group',
          value: RuleGroup.fromPartial({ name: 'g', file: 'f', rules: [rules[2]!] }),
        },
        {
          $case: 'group',
          value: RuleGroup.fromPartial({ name: 'a', file: 'f', rules: [rules[0]!] }),
        },
        {
          $case: 'group',
          value: RuleGroup.fromPartial({ name: 'a', file: 'f', rules: [rules[1]!] }),
        },
      ),
  };
  const find = async (request: Parameters<typeof RulesRequest.fromPartial>[0]) => {
    const { groups } = await findRules(
      source,
      RulesRequest.fromPartial(request),
      ['replica'],
      context,
    );
    return groups.map(({ name, rules: kept }) => {
      const names = kept.map(({ result }) => {
        const state = result?.$case === 'alert' ? result.value.state : '';
        return `${result?.value.name}${state}`;
      });
      return `${name}: ${names.join(' ')}`;
    });
  };

  test('merges groups and keeps the rule of the replica that fires', async () => {
    assert.deepEqual(await find({}), ['a: down3', 'g: sum']);
  });

  test('filters by names, groups, files and labels that are no templates', async () => {
    assert.deepEqual(await find({ ruleName: ['sum'] }), ['g: sum']);
    assert.deepEqual(await find({ ruleGroup: ['a'], file: ['f'] }), ['a: down3']);
    assert.deepEqual(await find({ file: ['other'] }), []);
    assert.deepEqual(await find({ matcherString: ['{replica="b"}'] }), ['a: down3']);
    assert.deepEqual(await find({ matcherString: ['{team!="", replica="a"}'] }), []);
  });
});

test('findTargets() keeps one of the targets that differ in replica labels', async () => {
  const target = (replica: string, health: 0 | 1, seconds: number) =>
    ActiveTarget.fromPartial({
      scrapeUrl: 'http://x/metrics',
      labels: labelSet({ job: 'x', replica }),
      health,
      lastScrape: { seconds: BigInt(seconds), nanos: 0 },
    });
  const activeTargets = [target('a', 1, 10), target('b', 1, 20)];
  const source = {
    targets: () => of({ $case: 'targets', value: { activeTargets, droppedTargets: [] } }),
  };
  const found = await findTargets(source, TargetsRequest.fromPartial({}), ['replica'], context);
  assert.deepEqual(
    found.activeTargets.map(({ labels, lastScrape }) => [labels, Number(lastScrape!.seconds)]),
    [[labelSet({ job: 'x' }), 20]],
  );
});

test('findMetricMetadata() unites entries and keeps to the limit', async () => {
  const entry = (help: string) => ({ metas: [{ type: 'counter', help, unit: '' }] });
  const source = {
    metricMetadata: () =>
      of(
        { $case: 'metadata', value: { metadata: new Map([['a', entry('x')]]) } },
        {
          $case: 'metadata',
          value: {
            metadata: new Map([
              ['a', entry('y')],
              ['b', entry('x')],
            ]),
          },
        },
        { $case: 'metadata', value: { metadata: new Map([['a', entry('x')]]) } },
      ),
  };
  const find = async (limit: number) => {
    const request = MetricMetadataRequest.fromPartial({ limit });
    const { metadata } = await findMetricMetadata(source, request, context);
    return Array.from(metadata, ([name, metas]) => name + metas.map(({ help }) => help).join(''));
  };
  assert.deepEqual(await find(-1), ['axy', 'bx']);
  assert.deepEqual(await find(1), ['axy']);
  assert.deepEqual(await find(0), []);
});

test('findExemplars() puts the exemplars of replicas together, each once', async () => {
  const data = (replica: string, ...times: number[]): ExemplarData => ({
    seriesLabels: labelSet({ job: 'x', replica }),
    exemplars: times.map((ts) => ({ labels: labelSet({ trace: String(ts) }), value: ts, ts })),
  });
  const source = {
    exemplars: () =>
      of({ $case: 'data', value: data('a', 3, 1) }, { $case: 'data', value: data('b', 1, 2) }),
  };
  const request = ExemplarsRequest.fromPartial({});
  const { series } = await findExemplars(source, request, ['replica'], context);
  assert.deepEqual(
    series.map(({ labels, exemplars }) => [labels.toString(), exemplars.map(({ ts }) => ts)]),
    [['{job="x"}', [1, 2, 3]]],
  );
});

test('findTsdbStatistics() adds up what is counted once a head', async () => {
  const entry = (series: number, names: [string, number][]) => {
    const statistics = names.map(([name, value]) => ({ name, value }));
    return TSDBStatisticsEntry.fromPartial({
      headStatistics: { numSeries: series, minTime: BigInt(series), maxTime: BigInt(series) },
      seriesCountByMetricName: statistics,
      labelValueCountByLabelName: statistics,
    });
  };
  const value = (found: TSDBStatisticsEntry) => ({ statistics: new Map([['', found]]) });
  const source = {
    tsdbStatistics: () =>
      of(
        {
          $case: 'statistics',
          value: value(
            entry(5, [
              ['a', 1],
              ['b', 2],
            ]),
          ),
        },
        { $case: 'statistics', value: value(entry(7, [['a', 3]])) },
      ),
  };
  const request = TSDBStatisticsRequest.fromPartial({});
  const { statistics } = await findTsdbStatistics(source, request, context);
  const { headStatistics, ...counts } = statistics.get('')!;
  assert.deepEqual(
    [headStatistics!.numSeries, headStatistics!.minTime, headStatistics!.maxTime],
    [12, 5n, 7n],
  );
  assert.deepEqual(counts.seriesCountByMetricName, [
    { name: 'a', value: 4 },
    { name: 'b', value: 2 },
  ]);
  assert.deepEqual(counts.labelValueCountByLabelName[0], { name: 'a', value: 3 });
});

async function* of<const Result>(
  ...results: readonly Result[]
): AsyncGenerator<{ result: Result }> {
  for (const result of results) yield { result };
}

function labelSet(labels: Readonly<Record<string, string>>) {
  return { labels: [...Labels.fromObject(labels)] };
}

function alert(name: string, labels: Record<string, string>, more: { state: 1 | 3 }) {
  const value = { name, labels: labelSet(labels), ...more };
  return { result: { $case: 'alert', value } } as const;
}

function recording(name: string, labels: Record<string, string>) {
  return { result: { $case: 'recording', value: { name, labels: labelSet(labels) } } } as const;
}

function serve(net: MemoryNet, services: readonly Service[]) {
  return serveGrpc(
    { address: '127.0.0.1:0', services, gracePeriodMs: 0 },
    {
      net,
      clock: systemClock,
      log: new MemoryLog(),
      metrics: new Metrics(),
      probe: new Probe(),
    },
  );
}

function endpoint(
  net: MemoryNet,
  { address }: { readonly address: string },
  labels: Readonly<Record<string, string>> = {},
  query = false,
): ApiEndpoint {
  const labelSets = Object.keys(labels).length === 0 ? [] : [Labels.fromObject(labels)];
  const channel = new Channel({ net, clock: systemClock, random: systemRandom, address });
  const apis = { rules: true, targets: true, metricMetadata: true, exemplars: true, status: true };
  const info = { component: query ? 'query' : 'sidecar', labelSets, query, ...apis };
  return { name: address, info, channel: () => channel };
}

function down(net: MemoryNet): ApiEndpoint {
  return endpoint(net, { address: 'down:1' });
}
