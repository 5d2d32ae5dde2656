/**
 * Answers queries over the blocks of a local directory: engine and HTTP API without StoreAPI in between.
 * Run: `node bench/against-prometheus/block-server.ts DIRECTORY ADDRESS`.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { queryRoutes } from '#/api/query.ts';
import type { QueryApi } from '#/api/query-api.ts';
import { serveHttp } from '#/http/server.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { Gate } from '#/lib/gate.ts';
import { ProcessMemory } from '#/lib/process-memory.ts';
import { nodeNet } from '#/lib/net.ts';
import { isUlid } from '#/lib/ulid.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import { openLog } from '#/telemetry/pino-log.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockQueryable } from '#/tsdb/block-queryable.ts';

const [directory = '', address = ''] = process.argv.slice(2);
const names = (await readdir(directory)).filter(isUlid).sort();
const blocks = await Promise.all(names.map((name) => Block.open(nodeDisk, join(directory, name))));
const queryable = new BlockQueryable(blocks);
const log = openLog({ level: 'error', format: 'logfmt' });
const api: QueryApi = {
  engine: new Engine({
    lookbackMs: 300_000,
    maxSamples: 50_000_000,
    defaultStepMs: () => 60_000,
    features: stableEngineFeatures,
  }),
  querier: { queryable: () => queryable },
  gate: new Gate(20),
  now: () => Date.now(),
  memory: new ProcessMemory({ what: 'all queries', limitBytes: Number.POSITIVE_INFINITY }),
  queryMemoryBytes: Number.POSITIVE_INFINITY,
  timeoutMs: 120_000,
  maxSteps: 11_000,
  slowQueries: { log, longerThanMs: 0, now: () => Date.now() },
  replicaLabels: [],
  algorithm: 'sticky',
  partialResponse: false,
  autoDownsampling: false,
  lookbackMs: () => 300_000,
  defaultStepMs: 1000,
  metadataRangeMs: 0,
  tenantHeader: 'THANOS-TENANT',
  defaultTenant: 'default-tenant',
};
const probe = new Probe();
await serveHttp(
  { address, gracePeriodMs: 0, routes: queryRoutes(api) },
  { net: nodeNet, log, metrics: new Metrics(), probe },
);
probe.ready();
// An orderly exit, after which Node writes its profiles.
process.once('SIGTERM', () => process.exit(0));
