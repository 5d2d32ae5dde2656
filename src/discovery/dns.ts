import { BadInputError, messageOf } from '#/lib/errors.ts';
import { joinAddress, splitAddress } from '#/lib/net.ts';
import type { Net } from '#/lib/net.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';

const DNS_PREFIXES = ['dns', 'dnssrv', 'dnssrvnoa', 'dnsdualstack'] as const;
type DnsPrefix = (typeof DNS_PREFIXES)[number];

/** Whether an address is a name to look up (`dns+host:port` …) rather than a peer. */
export function isDynamicAddress(address: string): boolean {
  return splitPrefix(address) !== undefined;
}

/** What is wrong with an endpoint's address; `undefined` for one that can be dialled or looked up. */
export function addressProblem(address: string): string | undefined {
  const split = splitPrefix(address);
  // Services bring their ports along.
  if (split !== undefined && split.prefix.startsWith('dnssrv')) return undefined;
  const plain = (split?.name ?? address).replace(/^[^/]*\/\//, '');
  try {
    splitAddress(plain);
    return undefined;
  } catch (thrown) {
    return messageOf(thrown);
  }
}

function splitPrefix(address: string): { prefix: DnsPrefix; name: string } | undefined {
  const plus = address.indexOf('+');
  const prefix = DNS_PREFIXES.find((known) => known === address.slice(0, plus));
  return prefix === undefined ? undefined : { prefix, name: address.slice(plus + 1) };
}

export interface DnsResolverOptions {
  readonly net: Net;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What the names of the metrics begin with: `thanos_query_endpoints_` … */
  readonly metricPrefix: string;
}

/**
 * Turns configured addresses into those of peers. A name that is not found has no peers; a lookup
 * that fails leaves those that were found before.
 */
export class DnsResolver {
  readonly #net: Net;
  readonly #log: Log;
  readonly #found = new Map<string, readonly string[]>();
  readonly #lookups;
  readonly #failures;
  readonly #results;

  constructor({ net, log, metrics, metricPrefix }: DnsResolverOptions) {
    this.#net = net;
    this.#log = log;
    this.#lookups = metrics.counter({
      name: `${metricPrefix}dns_lookups_total`,
      help: 'The number of DNS lookups resolutions attempts',
    });
    this.#failures = metrics.counter({
      name: `${metricPrefix}dns_failures_total`,
      help: 'The number of DNS lookup failures',
    });
    this.#results = metrics.gauge({
      name: `${metricPrefix}dns_provider_results`,
      help: 'The number of resolved endpoints for each configured address',
      labels: ['addr'],
    });
  }

  /** Looks all dynamic `addresses` up. What is not among them any more is forgotten. */
  async update(addresses: readonly string[]): Promise<void> {
    let failed = false;
    const dynamic = addresses.filter(isDynamicAddress);
    await Promise.all(
      dynamic.map(async (address) => {
        this.#lookups.inc();
        try {
          this.#found.set(address, await this.#lookUp(address));
        } catch (thrown) {
          failed = true;
          this.#failures.inc();
          this.#log.error('dns resolution failed', { address, error: messageOf(thrown) });
        }
      }),
    );
    // A round with a failure forgets nothing: a broken resolver must not lose the peers.
    if (!failed) for (const known of this.#found.keys()) this.#forgetUnless(dynamic, known);
    for (const [addr, peers] of this.#found) this.#results.set({ addr }, peers.length);
  }

  /** The peers of an address as of the last update; a static address is its own peer. */
  peers(address: string): readonly string[] {
    return isDynamicAddress(address) ? (this.#found.get(address) ?? []) : [address];
  }

  #forgetUnless(wanted: readonly string[], known: string): void {
    if (wanted.includes(known)) return;
    this.#found.delete(known);
    // Others may show theirs under the same name.
    this.#results.remove({ addr: known });
  }

  async #lookUp(address: string): Promise<string[]> {
    const { prefix, name: nameWithScheme } = splitPrefix(address)!;
    const [, scheme = '', name = ''] = /^([^/]*\/\/)?(.*)$/.exec(nameWithScheme) ?? [];
    const { host, port } = splitOptionalPort(name);
    const found =
      prefix === 'dns' || prefix === 'dnsdualstack'
        ? await this.#lookUpHost(host, port, address)
        : await this.#lookUpService(host, port, prefix === 'dnssrv');
    return found.map((peer) => scheme + peer).sort();
  }

  async #lookUpHost(host: string, port: number | undefined, address: string): Promise<string[]> {
    if (port === undefined) {
      throw new BadInputError(`missing port in address given for dns lookup: ${address}`);
    }
    return (await this.#net.resolve(host)).map((ip) => joinAddress(ip, port));
  }

  /** An explicit port goes before that of the record. */
  async #lookUpService(
    name: string,
    port: number | undefined,
    resolvesHosts: boolean,
  ): Promise<string[]> {
    const records = await this.#net.resolveService(name);
    const peers = await Promise.all(
      records.map(async (record) => {
        const host = record.host.replace(/\.$/, '');
        const hosts = resolvesHosts ? await this.#net.resolve(host) : [host];
        return hosts.map((found) => joinAddress(found, port ?? record.port));
      }),
    );
    return peers.flat();
  }
}

function splitOptionalPort(name: string): { host: string; port: number | undefined } {
  if (!/:\d+$/.test(name)) return { host: name, port: undefined };
  return splitAddress(name);
}
