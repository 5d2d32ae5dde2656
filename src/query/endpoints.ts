import type { DnsResolver } from '#/discovery/dns.ts';
import type { FileDiscovery } from '#/discovery/file.ts';
import type { Channel } from '#/grpc/client.ts';
import { every } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';
import type { Labels } from '#/model/labels.ts';
import type { EndpointInfo } from '#/storeapi/client.ts';
import type { ProxyEndpoint } from '#/storeapi/proxy-store.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { ClientSettings, EndpointConfig } from './endpoint-config.ts';
import { Endpoint } from './endpoints/endpoint.ts';

/** The values of `--query.conn-metric.label`. */
export const ConnectionLabels = ['external_labels', 'store_type', 'ip_port'] as const;
export type ConnectionLabel = (typeof ConnectionLabels)[number];

export interface EndpointSetOptions {
  /** The configuration of the moment; asked for at every update. */
  readonly config: () => EndpointConfig;
  readonly dns: DnsResolver;
  /** `--store.sd-files`; their addresses are plain endpoints with the default client settings. */
  readonly files?: FileDiscovery;
  readonly dial: (address: string, client: ClientSettings) => Channel;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The bound of a health check, and the pause between two. */
  readonly infoTimeoutMs: number;
  /** How long an endpoint that stopped answering stays listed, and missed. */
  readonly unhealthyTimeoutMs: number;
  readonly dnsIntervalMs: number;
  readonly fileIntervalMs: number;
  /** How long the channels of a dropped endpoint stay open, for calls under way. */
  readonly closeDelayMs: number;
  readonly connectionLabels: readonly ConnectionLabel[];
}

/** An endpoint as the stores page and `/api/v1/stores` show it. */
export interface EndpointStatus {
  readonly name: string;
  readonly component: string;
  readonly lastCheckMs: number | undefined;
  readonly lastError: string | undefined;
  readonly labelSets: readonly Labels[];
  readonly mint: number;
  readonly maxt: number;
}

/** An API that endpoints may serve besides the StoreAPI. */
export type EndpointApi = 'rules' | 'targets' | 'metricMetadata' | 'exemplars' | 'status' | 'query';

/** An endpoint that serves an API. */
export interface ApiEndpoint {
  readonly name: string;
  readonly info: EndpointInfo;
  /** The channel for one call. */
  readonly channel: () => Channel;
}

interface Wanted {
  readonly name: string;
  readonly peers: readonly string[];
  readonly isStrict: boolean;
  readonly client: ClientSettings;
}

/**
 * The endpoints of a querier: found, health-checked, listed and forgotten by the rules of Thanos
 * (pkg/query/endpointset.go). What differs: an endpoint that stopped answering, and is still
 * remembered, counts as missing from the answers that it should be part of.
 */
export class EndpointSet {
  readonly #options: EndpointSetOptions;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #duplicates;
  readonly #connections;
  #lookedUpMs = Number.NEGATIVE_INFINITY;
  #readFilesMs = Number.NEGATIVE_INFINITY;

  constructor(options: EndpointSetOptions) {
    this.#options = options;
    this.#duplicates = options.metrics.counter({
      name: 'thanos_query_duplicated_endpoint_addresses_total',
      help: 'The number of times a duplicated endpoint addresses is detected from the different configs',
    });
    this.#connections = options.metrics.gauge({
      name: 'thanos_store_nodes_grpc_connections',
      help: 'Number of gRPC connection to Store APIs. Opened connection means healthy store APIs available for Querier.',
      labels: options.connectionLabels,
    });
  }

  /** Updates now, then again and again until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, infoTimeoutMs } = this.#options;
    await this.update(signal);
    await every(clock, infoTimeoutMs, signal, () => this.update(signal));
  }

  /** Closes the connections; queries that still run lose their endpoints. */
  [Symbol.dispose](): void {
    for (const endpoint of this.#endpoints.values()) endpoint.close();
  }

  /** Finds the endpoints, asks each how it is, and forgets those that are gone. */
  async update(signal: AbortSignal): Promise<void> {
    const wanted = await this.#find();
    for (const [name, endpoint] of this.#endpoints) {
      if (!wanted.has(name)) this.#drop(name, endpoint, signal);
    }
    for (const spec of wanted.values()) this.#use(spec);
    const endpoints = [...this.#endpoints.values()];
    const { infoTimeoutMs } = this.#options;
    await Promise.all(endpoints.map((endpoint) => endpoint.check(infoTimeoutMs, signal)));
    for (const [name, endpoint] of this.#endpoints) {
      if (this.#isGone(endpoint)) this.#drop(name, endpoint, signal);
    }
    this.#observe();
  }

  /** What a proxy asks: strict and healthy endpoints, and those that are missed. */
  stores(): readonly ProxyEndpoint[] {
    return [...this.#endpoints.values()].filter(isStore).map((endpoint): ProxyEndpoint => {
      const { name: address, store } = endpoint;
      if (endpoint.isQueryable) return { address, store };
      return { address, store, lost: endpoint.lastError ?? 'its state is unknown' };
    });
  }

  /** The endpoints that serve `api` and answer. */
  serving(api: EndpointApi): readonly ApiEndpoint[] {
    return [...this.#endpoints.values()].flatMap((endpoint) => {
      const { name, info } = endpoint;
      if (info === undefined || !endpoint.isQueryable || !info[api]) return [];
      return [{ name, info, channel: () => endpoint.channel() }];
    });
  }

  statuses(): readonly EndpointStatus[] {
    return [...this.#endpoints.values()].filter(isListed).map((endpoint) => {
      const { name, component, lastCheckMs, lastError, storeInfo } = endpoint;
      const { labelSets, mint, maxt } = storeInfo;
      return { name, component, lastCheckMs, lastError, labelSets, mint, maxt };
    });
  }

  /** The configured and discovered endpoints by name; of equal ones a strict one counts. */
  async #find(): Promise<ReadonlyMap<string, Wanted>> {
    const { specs, defaultClient } = this.#options.config();
    await this.#discover(specs.map(({ address }) => address));
    const found = new Map<string, Wanted>();
    const add = (wanted: Wanted) => {
      const before = found.get(wanted.name);
      if (before !== undefined) this.#duplicates.inc();
      if (before === undefined || (wanted.isStrict && !before.isStrict)) {
        found.set(wanted.name, wanted);
      }
    };
    const { dns } = this.#options;
    const isStrict = false;
    for (const { address, isGroup, ...spec } of specs) {
      const peers = dns.peers(address);
      if (isGroup) {
        add({ name: `thanos:///${address}`, peers, ...spec });
      } else {
        for (const peer of peers) add({ name: peer, peers: [peer], ...spec });
      }
    }
    for (const address of this.#options.files?.addresses ?? []) {
      for (const peer of dns.peers(address)) {
        add({ name: peer, peers: [peer], isStrict, client: defaultClient });
      }
    }
    return found;
  }

  async #discover(addresses: readonly string[]): Promise<void> {
    const { clock, dns, files, dnsIntervalMs, fileIntervalMs } = this.#options;
    const now = clock.now();
    if (files !== undefined && now - this.#readFilesMs >= fileIntervalMs) {
      await files.update();
      this.#readFilesMs = now;
      this.#lookedUpMs = Number.NEGATIVE_INFINITY;
    }
    if (now - this.#lookedUpMs < dnsIntervalMs) return;
    await dns.update([...addresses, ...(files?.addresses ?? [])]);
    this.#lookedUpMs = now;
  }

  #use({ name, peers, isStrict, client }: Wanted): void {
    const { clock, dial } = this.#options;
    let endpoint = this.#endpoints.get(name);
    if (endpoint === undefined) {
      endpoint = new Endpoint({
        name,
        isStrict,
        clock,
        dial: (address) => dial(address, client),
      });
      this.#endpoints.set(name, endpoint);
    }
    // A group whose name has no answer for a moment keeps the peers it has.
    if (peers.length > 0) endpoint.usePeers(peers);
  }

  /** A strict endpoint never goes; a new one is listed only once it has answered. */
  #isGone(endpoint: Endpoint): boolean {
    if (endpoint.isStrict || endpoint.isHealthy) return false;
    return endpoint.info === undefined || endpoint.silentMs >= this.#options.unhealthyTimeoutMs;
  }

  #drop(name: string, endpoint: Endpoint, signal: AbortSignal): void {
    const { clock, log, closeDelayMs } = this.#options;
    this.#endpoints.delete(name);
    if (endpoint.info === undefined) {
      log.warn('endpoint does not answer', { address: name, error: endpoint.lastError });
      endpoint.close();
      return;
    }
    log.info('endpoint removed', { address: name, error: endpoint.lastError });
    const close = () => endpoint.close();
    clock.sleep(closeDelayMs, signal).then(close, close);
  }

  #observe(): void {
    const { connectionLabels } = this.#options;
    this.#connections.reset();
    for (const endpoint of this.#endpoints.values()) {
      if (!isStore(endpoint) || !endpoint.isQueryable) continue;
      const values = {
        external_labels: externalLabelsText(endpoint.labelSets),
        store_type: endpoint.component,
        ip_port: endpoint.name,
      };
      this.#connections.inc(
        Object.fromEntries(connectionLabels.map((label) => [label, values[label]])),
      );
    }
  }
}

/** A strict endpoint that has not told what it is counts as a store. */
function isStore({ info, isStrict }: Endpoint): boolean {
  return info === undefined ? isStrict : info.store !== undefined;
}

function isListed({ info, isStrict }: Endpoint): boolean {
  return info !== undefined || isStrict;
}

const EXTERNAL_LABELS_BYTES = 1000;

/** All label sets in a stable order, cut to a bounded number of bytes at the end of a character. */
function externalLabelsText(labelSets: readonly Labels[]): string {
  if (labelSets.length === 0) return 'no_external_labels';
  const text = labelSets
    .map((labels) => labels.toString())
    .sort()
    .join(',');
  const bytes = Buffer.from(text);
  if (bytes.length <= EXTERNAL_LABELS_BYTES) return text;
  const cut = bytes.subarray(0, EXTERNAL_LABELS_BYTES - 1).toString();
  return `${cut.replace(/\uFFFD+$/, '')}}`;
}
