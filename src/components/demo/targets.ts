import type { Clock } from '#/lib/clock.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServer, Route } from '#/http/server.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import type { Runtime } from '../runtime.ts';
import { exposition, instances } from './truth.ts';

/** Where the live side of the truth is scraped: one path an instance. */
export function targetPath(instance: string): string {
  return `/targets/${encodeURIComponent(instance)}/metrics`;
}

/** Serves what the demo's instances measure at this moment. */
export function serveTargets(runtime: Runtime): Promise<HttpServer> {
  const routes = instances.map((instance) => targetRoute(instance, runtime.clock));
  const own = { ...runtime, metrics: new Metrics(), probe: new Probe() };
  return serveHttp({ address: '127.0.0.1:0', gracePeriodMs: 0, routes }, own);
}

function targetRoute(instance: string, clock: Clock): Route {
  return {
    methods: ['GET'],
    path: targetPath(instance),
    handler: 'target',
    handle: () =>
      Promise.resolve({
        status: 200,
        contentType: 'text/plain; version=0.0.4',
        body: exposition(instance, clock.now()),
      }),
  };
}
