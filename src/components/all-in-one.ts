import { every } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import type { Net } from '#/lib/net.ts';
import { together } from '#/lib/together.ts';
import { Mount } from '#/http/mount.ts';
import type { Route } from '#/http/server.ts';
import { Probe } from '#/telemetry/probe.ts';
import { runCompact } from './compact.ts';
import type { CompactConfig, CompactParts } from './compact.ts';
import { runQuery } from './query.ts';
import type { QueryConfig } from './query.ts';
import type { Runtime } from './runtime.ts';
import { runSidecar } from './sidecar.ts';
import type { SidecarConfig } from './sidecar.ts';
import { runStore } from './store.ts';
import type { StoreConfig } from './store.ts';

export interface AllConfig {
  /** One beside each Prometheus; none without. */
  readonly sidecars: readonly Omit<SidecarConfig, 'http' | 'grpc'>[];
  readonly store: Omit<StoreConfig, 'http' | 'grpc'>;
  readonly query: QueryConfig;
  /** None if the bucket is compacted elsewhere, or not at all. */
  readonly compact?: Omit<CompactConfig, 'http'>;
}

/** Host names below this end exist only inside the process. */
const INSIDE = '.inside';

/** Where the querier finds the parts of the process itself. */
export function insideEndpoints(sidecars: number): string[] {
  return ['store', ...Array.from({ length: sidecars }, (_, i) => `sidecar-${i}`)].map(inside);
}

function inside(name: string): string {
  return `${name}${INSIDE}:10901`;
}

/**
 * Runs a store gateway, a sidecar for each Prometheus, a compactor and a querier in one process, by
 * the very functions that run them alone. Only the querier listens outside; the others are reached
 * through a network in memory, and the compactor's page is at `/compact/` of the querier. Ready when
 * every part is but the compactor, whose troubles are no reason to keep queries away.
 */
export async function runAll(
  config: AllConfig,
  runtime: Runtime,
  parts: Pick<CompactParts, 'work'> = {},
): Promise<void> {
  const { compact } = config;
  const net = insideAnd(runtime.net);
  const probes: Probe[] = [];
  const part = (component: string, signal: AbortSignal): Runtime => {
    const probe = new Probe();
    probes.push(probe);
    return { ...runtime, net, probe, signal, log: runtime.log.with({ component }) };
  };
  const servers = (name: string) => ({
    http: { address: `${name}${INSIDE}:10902`, gracePeriodMs: 0 },
    grpc: { address: inside(name), gracePeriodMs: 0 },
  });
  const page = new Mount('/compact');
  const runInside = (own: Omit<CompactConfig, 'http'>, signal: AbortSignal) => {
    const log = runtime.log.with({ component: 'compact' });
    const serve = (routes: readonly Route[]) => Promise.resolve(page.mount(routes));
    const { http } = servers('compact');
    const probe = new Probe();
    return runCompact(
      { ...own, http },
      { ...runtime, net, probe, signal, log },
      { ...parts, serve },
    );
  };
  await together(runtime.signal, [
    (signal) => runStore({ ...config.store, ...servers('store') }, part('store', signal)),
    ...config.sidecars.map((sidecar, i) => (signal: AbortSignal) => {
      const name = `sidecar-${i}`;
      return runSidecar({ ...sidecar, ...servers(name) }, part(name, signal));
    }),
    ...(compact === undefined ? [] : [(signal: AbortSignal) => runInside(compact, signal)]),
    (signal) => {
      const log = runtime.log.with({ component: 'query' });
      const besides = { routes: page.routes, links: [{ href: 'compact/', text: 'compactor' }] };
      const query = compact === undefined ? config.query : { ...config.query, besides };
      return runQuery(query, { ...runtime, net, signal, log });
    },
    (signal) => watchReadiness(probes, runtime.probe, runtime.clock, signal),
  ]);
}

const READINESS_INTERVAL_MS = 1000;

/**
 * Once the querier is ready, the whole is as long as every part is: a load balancer must not send
 * queries that would lack one.
 */
function watchReadiness(
  parts: readonly Probe[],
  whole: Probe,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let started = false;
  return every(clock, READINESS_INTERVAL_MS, signal, () => {
    started ||= whole.isReady;
    if (!started) return Promise.resolve();
    const waiting = parts.find((probe) => !probe.isReady);
    if (waiting === undefined) whole.ready();
    else whole.notReady(waiting.reason);
    return Promise.resolve();
  });
}

/** A network whose `*.inside` hosts live in this process. */
function insideAnd(outside: Net): Net {
  const memory = new MemoryNet();
  const of = (address: string) => (address.includes(`${INSIDE}:`) ? memory : outside);
  return {
    listen: (address, accept) => of(address).listen(address, accept),
    dial: (address, signal) => of(address).dial(address, signal),
    resolve: (host) => (host.endsWith(INSIDE) ? memory : outside).resolve(host),
    resolveService: (name) => outside.resolveService(name),
  };
}
