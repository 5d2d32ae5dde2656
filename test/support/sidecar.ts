import type { SidecarConfig } from '#/components/sidecar.ts';
import { runSidecar } from '#/components/sidecar.ts';
import type { Runtime } from '#/components/runtime.ts';
import { Channel } from '#/grpc/client.ts';
import { parseHttpClientConfig } from '#/http/client-config.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { nodeNet } from '#/lib/net.ts';
import { systemRandom } from '#/lib/random.ts';
import { MIN_TIME } from '#/model/time.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { eventually, freePort } from './servers.ts';

/** A sidecar in this process, from `runSidecar` to its end. */
export interface RunningSidecar extends AsyncDisposable {
  readonly runtime: Runtime;
  readonly log: MemoryLog;
  readonly done: Promise<void>;
  readonly grpcAddress: string;
}

export async function startSidecar(
  prometheus: { readonly url: string },
  overrides: Partial<SidecarConfig> = {},
): Promise<RunningSidecar> {
  const stop = new AbortController();
  const log = new MemoryLog();
  const runtime: Runtime = {
    clock: systemClock,
    random: systemRandom,
    disk: nodeDisk,
    net: nodeNet,
    log,
    metrics: new Metrics(),
    probe: new Probe(),
    signal: stop.signal,
  };
  const grpcAddress = `127.0.0.1:${await freePort()}`;
  const done = runSidecar(
    {
      http: { address: '127.0.0.1:0', gracePeriodMs: 1000 },
      grpc: { address: grpcAddress, gracePeriodMs: 1000 },
      prometheus: {
        url: new URL(prometheus.url),
        client: parseHttpClientConfig('test', ''),
        readyTimeoutMs: 60_000,
        getConfigIntervalMs: 200,
        getConfigTimeoutMs: 5000,
      },
      reloader: noReloader,
      limits: { requestSeries: 0, requestSamples: 0 },
      minTime: () => MIN_TIME,
      ...overrides,
    },
    runtime,
  );
  done.catch(() => undefined);
  return {
    runtime,
    log,
    done,
    grpcAddress,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await done.catch(() => undefined);
    },
  };
}

export const noReloader: SidecarConfig['reloader'] = {
  configFile: '',
  outputFile: '',
  ruleDirectories: [],
  watchIntervalMs: 60_000,
  retryIntervalMs: 200,
  method: 'http',
  processName: 'prometheus',
};

export function untilReady(sidecar: RunningSidecar, ready = true): Promise<true> {
  return eventually(`the sidecar is ${ready ? 'ready' : 'not ready'}`, async () =>
    sidecar.runtime.probe.isReady === ready ? true : undefined,
  );
}

export function channelTo({ grpcAddress: address }: RunningSidecar): Channel {
  return new Channel({ address, net: nodeNet, clock: systemClock, random: systemRandom });
}

/** A rule file with a recording rule and an alert. */
export const rules = `groups:
- name: g
  interval: 1s
  rules:
  - record: up:sum
    expr: sum(up)
    labels: {cluster: overridden}
  - alert: Always
    expr: vector(1) > 0
    annotations: {summary: always}
`;
