import { deletionName } from '#/blocks/series-deletions.ts';
import { Shipper } from '#/blocks/shipper.ts';
import { PARTIAL_UPLOAD_AGE_MS } from '#/compact/cleaner.ts';
import { ProbedLeases } from '#/compact/probed-leases.ts';
import { messageOf, UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { randomItem, seededRandom } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import type { ProxyEndpoint } from '#/storeapi/proxy-store.ts';
import type { Store } from '#/storeapi/store.ts';
import {
  DELETE_DELAY_MS,
  DOWNSAMPLED_FROM_MS,
  LEASE_MS,
  RANGES,
  LeaseWatch,
  runCompactor,
} from './compactor.ts';
import type { CompactorStyle } from './compactor.ts';
import { convergenceProblems } from './convergence.ts';
import { EventLog } from './event-log.ts';
import { Doom } from './doom.ts';
import { FaultCounts } from './fault-counts.ts';
import type { FaultTotals } from './fault-counts.ts';
import { runGateway } from './gateway.ts';
import { Ledger } from './ledger.ts';
import { ListingHistory } from './listing-history.ts';
import { Machine } from './machine.ts';
import type { Life, Program, Surroundings } from './machine.ts';
import { FakePrometheus, PROMETHEUS_DIRECTORY } from './prometheus.ts';
import { Questioner } from './questioner.ts';
import { DOOMED, drawTruth, HOUR_MS, MINUTE_MS, REPLICAS } from './truth.ts';
import type { Replica, Truth } from './truth.ts';
import { variants } from './variants.ts';
import type { Variant, VariantName } from './variants.ts';
import { drawClimate, Weather } from './weather.ts';

const DAY_MS = 24 * HOUR_MS;
const START_MS = Math.floor(1_700_000_000_000 / DAY_MS) * DAY_MS;
const DISTURBED_MS = 28 * HOUR_MS;
/** The last blocks are cut well before the end, so that nothing is under way then. */
const SCRAPED_MS = DISTURBED_MS + 2 * HOUR_MS;
/** Long enough for everything that the faults have left to be done and marked. */
const QUIET_MS = 6 * HOUR_MS;
/** The longest blocks that compaction makes. */
const LONGEST_MS = RANGES.at(-1)!;

export interface SeedOptions {
  readonly seed: number;
  readonly variant?: VariantName;
  readonly print?: (line: string) => void;
}

/** What came of a seed. */
export interface SeedResult {
  readonly seed: number;
  /** Equal exactly when the same happened. */
  readonly digest: string;
  readonly events: number;
  readonly answers: { readonly asked: number; readonly incomplete: number; readonly panel: number };
  readonly faults: FaultTotals;
  readonly violation: Violation | undefined;
}

export interface Violation {
  readonly invariant: string;
  readonly detail: string;
  /** The number of the event after which it was seen. */
  readonly step: number;
  readonly hour: number;
  readonly lastEvents: readonly string[];
}

/** A day and a half of two Prometheuses, their sidecars, two compactors, a store gateway and a querier. */
export async function runSeed({ seed, variant = 'none', print }: SeedOptions): Promise<SeedResult> {
  const simulation = new Simulation(seed, variants[variant], print);
  return simulation.run();
}

class Simulation {
  readonly #seed: number;
  readonly #variant: Variant;
  readonly #clock = new ManualClock(START_MS);
  readonly #events: EventLog;
  readonly #faults = new FaultCounts();
  readonly #weather: Weather;
  readonly #bucket: MemoryBucket;
  readonly #ledger: Ledger;
  readonly #truth: Truth;
  readonly #doom: Doom;
  readonly #leaseWatch: LeaseWatch;
  readonly #questioner: Questioner;
  readonly #around: Surroundings;
  readonly #sidecars = new Map<Replica, Machine>();
  readonly #prometheuses = new Map<Replica, FakePrometheus>();
  readonly #compactors: Machine[] = [];
  readonly #gateway: Machine;
  #gatewayStore: { readonly life: Life; readonly store: Store } | undefined;
  #violation: Violation | undefined;

  constructor(seed: number, variant: Variant, print: ((line: string) => void) | undefined) {
    this.#seed = seed;
    this.#variant = variant;
    const now = () => this.#clock.now();
    this.#events = new EventLog(now, START_MS, print);
    const climate = drawClimate(this.#random(1), START_MS, DISTURBED_MS);
    this.#weather = new Weather(climate, this.#random(2), now, START_MS + DISTURBED_MS);
    this.#bucket = new MemoryBucket({ clock: this.#clock });
    this.#truth = drawTruth(this.#random(3), START_MS, SCRAPED_MS);
    const violated = (invariant: string, detail: string) => this.#violated(invariant, detail);
    const style = drawStyle(this.#random(4));
    const keepsAllSamples = !style.mergesReplicas || style.algorithm === 'chain';
    this.#doom = new Doom(style.ruleRetentionMs, { now, skewMs: climate.skewMs });
    this.#ledger = new Ledger({
      bucket: this.#bucket,
      truth: this.#truth,
      now,
      deleteDelayMs: DELETE_DELAY_MS,
      isExpired: (resolutionMs, maxt) =>
        resolutionMs === 0 &&
        style.rawRetentionMs > 0 &&
        maxt + style.rawRetentionMs <= now() + climate.skewMs,
      downsampledFromMs: DOWNSAMPLED_FROM_MS,
      keepsAllSamples,
      doom: this.#doom,
      violated,
    });
    this.#leaseWatch = new LeaseWatch(violated);
    this.#around = {
      clock: this.#clock,
      weather: this.#weather,
      events: this.#events,
      faults: this.#faults,
      bucket: this.#bucket,
      history: new ListingHistory(),
      changed: ({ kind, name }) => this.#ledger.changed(kind, name),
      violated,
    };
    for (const [i, replica] of REPLICAS.entries()) this.#addPrometheus(replica, i);
    for (const i of [0, 1]) {
      this.#compactors.push(this.#machine(`compactor-${i}`, 2 + i, this.#compactorProgram(style)));
    }
    this.#gateway = this.#machine('gateway', 4, this.#gatewayProgram(style));
    this.#questioner = new Questioner({
      clock: this.#clock,
      random: this.#random(5),
      events: this.#events,
      truth: this.#truth,
      startMs: START_MS,
      endpoints: () => this.#endpoints(),
      excuses: () => {
        const raw = this.#ledger.forgiven();
        const localFromMs = (of: Replica) => this.#prometheuses.get(of)!.deletedUntilMs;
        // What lies around a hole may be too short to be downsampled, or in one window with it.
        const around = raw.map(({ replica, mint, maxt }) => ({
          replica,
          mint: Math.floor(mint / LONGEST_MS) * LONGEST_MS,
          maxt: Math.ceil(maxt / LONGEST_MS) * LONGEST_MS,
        }));
        return { raw, all: [...around, ...this.#ledger.gone(localFromMs)] };
      },
      keptFromMs: () => {
        const { rawRetentionMs } = style;
        if (rawRetentionMs === 0) return START_MS;
        return Math.max(START_MS, now() - rawRetentionMs + climate.skewMs + 1000);
      },
      keepsAllSamples,
      doom: this.#doom,
      gateway: () => (this.#gatewayStore?.life.isAlive ? this.#gatewayStore.store : undefined),
      violated,
    });
    this.#events.add('seed', `${seed} ${JSON.stringify({ style, climate })}`);
  }

  async run(): Promise<SeedResult> {
    for (const prometheus of this.#prometheuses.values()) void prometheus.run(START_MS);
    for (const machine of this.#machines()) machine.start();
    void this.#askAlways();
    void this.#disturbClocks();
    for (const timeMs of this.#weather.climate.deletionsByHandMs) void this.#deleteByHand(timeMs);
    for (const timeMs of this.#weather.climate.deletionRequestsMs) void this.#deleteSeries(timeMs);
    const endMs = START_MS + DISTURBED_MS + QUIET_MS;
    while (this.#clock.now() < endMs && this.#violation === undefined) {
      await this.#clock.advance(10 * MINUTE_MS);
    }
    if (this.#violation === undefined) await this.#checkEnd();
    const result = {
      seed: this.#seed,
      digest: this.#events.digest(),
      events: this.#events.count,
      answers: { ...this.#questioner.counts },
      faults: this.#faults.totals,
      violation: this.#violation,
    };
    for (const machine of this.#machines()) machine[Symbol.dispose]();
    return result;
  }

  #machines(): Machine[] {
    return [...this.#sidecars.values(), ...this.#compactors, this.#gateway];
  }

  /** An own sequence for every purpose, so that one more draw here changes nothing there. */
  #random(purpose: number): Random {
    return seededRandom(Math.imul(this.#seed, 0x9e37_79b1) ^ Math.imul(purpose, 0x85eb_ca6b));
  }

  #machine(name: string, index: number, program: Program): Machine {
    const random = this.#random(100 + index);
    return new Machine(name, index, { around: this.#around, random, program });
  }

  #addPrometheus(replica: Replica, i: number): void {
    const sidecar = this.#machine(`sidecar-${replica}`, i, async (runtime, bucket) => {
      const { clock, log, signal } = runtime;
      const shipper = new Shipper(
        {
          directory: PROMETHEUS_DIRECTORY,
          bucket: this.#variant.sidecarBucket?.(bucket) ?? bucket,
          labels: () => this.#prometheuses.get(replica)!.externalLabels,
          source: 'sidecar',
        },
        runtime,
      );
      while (!signal.aborted) {
        try {
          await shipper.sync(signal);
        } catch (thrown) {
          log.warn('uploading failed', { err: messageOf(thrown) });
        }
        await clock.sleep(20 * MINUTE_MS, signal);
      }
    });
    this.#sidecars.set(replica, sidecar);
    const prometheus = new FakePrometheus(replica, {
      series: this.#truth.get(replica)!,
      clock: this.#clock,
      disk: sidecar.disk,
      random: this.#random(200 + i),
      onBlock: (block) => {
        this.#events.add(`prometheus-${replica}`, `cut ${block.ulid}`);
        this.#ledger.addSource(block);
      },
    });
    this.#prometheuses.set(replica, prometheus);
  }

  #compactorProgram(style: CompactorStyle): Program {
    return async (runtime, bucket) => {
      const { clock, log, disk } = runtime;
      const life = this.#lifeOf(runtime);
      const leases =
        this.#variant.leases ??
        new ProbedLeases({ bucket, holder: life.name, ttlMs: LEASE_MS, clock, log });
      const work = this.#variant.work?.(disk);
      await runCompactor(
        style,
        this.#doom.rules,
        this.#variant.compactorBucket?.(bucket) ?? bucket,
        runtime,
        {
          leases: this.#leaseWatch.watched(leases, life),
          ...(work === undefined ? {} : { work }),
        },
      );
    };
  }

  #gatewayProgram({ gatewayListing: listing, consistencyDelayMs }: CompactorStyle): Program {
    return async (runtime, bucket) => {
      const life = this.#lifeOf(runtime);
      await runGateway(
        {
          listing,
          consistencyDelayMs,
          ignoreDeletionMarksDelayMs: DELETE_DELAY_MS / 2,
          onReady: (store) => {
            this.#events.add(life.name, 'ready');
            const shown = this.#variant.gateway?.(store) ?? store;
            this.#gatewayStore = { life, store: untilEnd(shown, life) };
          },
        },
        bucket,
        runtime,
      );
    };
  }

  #lifeOf({ signal }: { readonly signal: AbortSignal }): Life {
    const life = this.#machines().find((machine) => machine.life?.stopping.signal === signal)?.life;
    if (life === undefined) throw new Error('a program runs on a machine');
    return life;
  }

  /** As a querier sees them: what is down is known to be missing. */
  #endpoints(): ProxyEndpoint[] {
    const endpoints = Array.from(this.#sidecars, ([replica, machine]): ProxyEndpoint => {
      const store = this.#prometheuses.get(replica)!.store();
      const address = `sidecar-${replica}`;
      return { address, store, ...(machine.life === undefined ? { lost: 'it is down' } : {}) };
    });
    const gateway = this.#gatewayStore;
    if (gateway?.life.isAlive === true) {
      return [...endpoints, { address: 'gateway', store: gateway.store }];
    }
    return [...endpoints, { address: 'gateway', store: absent, lost: 'it is down' }];
  }

  async #askAlways(): Promise<void> {
    const random = this.#random(6);
    for (;;) {
      await this.#clock.sleep(Math.ceil(random.next() * 4 * HOUR_MS));
      await this.#questioner.ask();
    }
  }

  async #disturbClocks(): Promise<void> {
    const random = this.#random(7);
    for (;;) {
      await this.#clock.sleep(Math.ceil(random.next() * 8 * HOUR_MS));
      if (this.#weather.isQuiet) return;
      randomItem(random, this.#machines()).adjustClock();
      if (random.next() < 0.3) randomItem(random, this.#machines()).restart();
    }
  }

  async #deleteSeries(timeMs: number): Promise<void> {
    await this.#clock.sleep(timeMs - this.#clock.now());
    const { id } = await this.#doom.ask(this.#bucket, this.#random(9));
    const name = deletionName(id);
    this.#around.history.add({ timeMs: this.#clock.now(), name, before: undefined });
    this.#events.add('administrator', `deletes ${DOOMED}: ${name}`);
  }

  async #deleteByHand(timeMs: number): Promise<void> {
    const random = this.#random(8);
    await this.#clock.sleep(timeMs - this.#clock.now());
    const ids = [...this.#ledger.complete.keys()];
    if (ids.length === 0) return;
    const id = randomItem(random, ids);
    this.#events.add('administrator', `deletes ${id}`);
    this.#faults.happened('deletion-by-hand');
    this.#ledger.forgive(id);
    const names = this.#bucket.names.filter((name) => name.startsWith(`${id}/`));
    if (random.next() < 0.5) names.reverse();
    for (const name of names) {
      await this.#bucket.remove(name);
      this.#ledger.changed('remove', name);
      await this.#clock.sleep(Math.ceil(random.next() * MINUTE_MS));
    }
  }

  /** Then all sleep for two days, after which what is marked, and what uploads have left, is to go. */
  async #checkEnd(): Promise<void> {
    await this.#askAtEnd();
    this.#clock.set(this.#clock.now() + PARTIAL_UPLOAD_AGE_MS);
    await this.#clock.advance(3 * HOUR_MS);
    await this.#askAtEnd();
    const problems = await convergenceProblems({
      bucket: this.#bucket,
      ledger: this.#ledger,
      compactors: this.#compactors,
      leaseWatch: this.#leaseWatch,
    });
    for (const problem of problems)
      this.#violated('when faults end, everything converges', problem);
  }

  async #askAtEnd(): Promise<void> {
    let isComplete: boolean | undefined;
    void this.#questioner.askAll().then((complete) => (isComplete = complete));
    await this.#clock.advance(HOUR_MS / 2);
    if (isComplete === true) return;
    const how = isComplete === undefined ? 'none arrived' : 'one says that it is incomplete';
    this.#violated('when faults end, answers are complete', how);
  }

  #violated(invariant: string, detail: string): void {
    this.#events.add('violation', `${invariant}: ${detail}`);
    this.#violation ??= {
      invariant,
      detail,
      step: this.#events.count,
      hour: (this.#clock.now() - START_MS) / HOUR_MS,
      lastEvents: [...this.#events.last],
    };
  }
}

function drawStyle(random: Random): CompactorStyle {
  return {
    mergesReplicas: random.next() < 0.5,
    algorithm: random.next() < 0.8 ? 'chain' : 'penalty',
    waitIntervalMs: randomItem(random, [60, 90, 120]) * MINUTE_MS,
    listing: randomItem(random, ['concurrent', 'recursive']),
    gatewayListing: randomItem(random, ['concurrent', 'recursive', 'bucket-index']),
    concurrency: randomItem(random, [1, 2]),
    consistencyDelayMs: randomItem(random, [0, 10 * MINUTE_MS]),
    rawRetentionMs: random.next() < 0.4 ? randomItem(random, [10, 18]) * HOUR_MS : 0,
    ruleRetentionMs: random.next() < 0.4 ? randomItem(random, [4, 8]) * HOUR_MS : 0,
  };
}

/** A store whose streams break when its process ends, as connections do. */
function untilEnd(store: Store, life: Life): Store {
  return {
    ...store,
    info: () => store.info(),
    async *series(request, context) {
      const batches = store.series(request, context)[Symbol.asyncIterator]();
      for (;;) {
        const next = await untilAborted(batches.next(), life.ended);
        if (next.done === true) return;
        yield next.value;
      }
    },
    labelNames: (request, context) => store.labelNames(request, context),
    labelValues: (request, context) => store.labelValues(request, context),
  };
}

const absent: Store = {
  info: () => ({
    labelSets: [],
    mint: 0,
    maxt: Number.MAX_SAFE_INTEGER,
    tsdbInfos: [],
    supportsSharding: true,
    supportsWithoutReplicaLabels: true,
  }),
  series: () => {
    throw new UnavailableError('down');
  },
  labelNames: () => Promise.resolve({ names: [], warnings: [] }),
  labelValues: () => Promise.resolve({ names: [], warnings: [] }),
};
