import type { Runtime } from '#/components/runtime.ts';
import type { Clock } from '#/lib/clock.ts';
import { messageOf, UnavailableError } from '#/lib/errors.ts';
import type { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { randomInteger } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import type { EventLog } from './event-log.ts';
import type { FaultCounts } from './fault-counts.ts';
import { MachineBucket } from './machine-bucket.ts';
import type { Changed } from './machine-bucket.ts';
import { MachineDisk } from './machine-disk.ts';
import type { ListingHistory } from './listing-history.ts';
import type { Weather } from './weather.ts';

/** What all machines of a simulation share. */
export interface Surroundings {
  readonly clock: ManualClock;
  readonly weather: Weather;
  readonly events: EventLog;
  readonly faults: FaultCounts;
  readonly bucket: MemoryBucket;
  readonly history: ListingHistory;
  readonly changed: Changed;
  readonly violated: (invariant: string, detail: string) => void;
}

/** What runs on a machine, until the signal of its runtime aborts. */
export type Program = (runtime: Runtime, bucket: Bucket) => Promise<void>;

const MINUTE_MS = 60_000;

/**
 * A machine with a program, which can be killed at any operation, and is started again a while
 * later on the disk as it then is.
 */
export class Machine {
  readonly name: string;
  readonly disk: MemoryDisk;
  readonly #index: number;
  readonly #around: Surroundings;
  readonly #random: Random;
  readonly #program: Program;
  #life: Life | undefined;
  readonly #lives: Life[] = [];

  constructor(
    name: string,
    index: number,
    { around, random, program }: { around: Surroundings; random: Random; program: Program },
  ) {
    this.name = name;
    this.#index = index;
    this.#around = around;
    this.#random = random;
    this.#program = program;
    this.disk = new MemoryDisk({ clock: around.clock });
  }

  /** The life that is going on; `undefined` between a crash and the start after it. */
  get life(): Life | undefined {
    return this.#life?.isAlive === true ? this.#life : undefined;
  }

  start(): void {
    const { clock, weather, events, faults, bucket, history, changed, violated } = this.#around;
    const life = new Life(`${this.name}/${this.#lives.length + 1}`, {
      clock,
      skewMs: weather.skewMs(),
      crashesNow: () => weather.crashesNow(),
      onCrash: (operation) => {
        faults.happened('crash');
        events.add(this.name, `crash at ${operation}`);
        void this.#startLater();
      },
    });
    this.#life = life;
    this.#lives.push(life);
    this.#noteSkew(life);
    events.add(this.name, `start ${this.#lives.length}, clock off by ${life.skewMs} ms`);
    const { disk } = this;
    const runtime: Runtime = {
      clock: life.clock,
      random: this.#random,
      disk: new MachineDisk(disk, {
        life,
        fault: () => {
          disk.full = weather.isDiskFull(this.#index);
          return weather.ofDisk();
        },
        faults,
      }),
      net: new MemoryNet(),
      log: new MemoryLog(life.lines),
      metrics: life.metrics,
      probe: new Probe(),
      signal: life.stopping.signal,
    };
    const own = new MemoryBucket({ clock, of: bucket });
    const client = new MachineBucket({
      own,
      life,
      clock,
      weather,
      events,
      faults,
      history,
      changed,
    });
    void this.#program(runtime, client).then(
      () => this.#ended(life, 'stopped'),
      (thrown: unknown) => {
        // Whatever happens to a program, it may fail, but not be surprised.
        if (isSurprise(thrown)) violated('no program has a bug that shows', messageOf(thrown));
        this.#ended(life, `ended: ${messageOf(thrown)}`);
      },
    );
  }

  /** Ends the program as an orchestrator does, by a signal, and starts it again. */
  restart(): void {
    const { life } = this;
    if (life === undefined) return;
    this.#around.faults.happened('restart');
    life.stopping.abort(new Error('restart'));
  }

  /** Lets go of all that the lives of the machine still listen to, which would keep them for ever. */
  [Symbol.dispose](): void {
    for (const life of this.#lives) {
      life.end();
      life.stopping.abort(new Error('the run is over'));
    }
  }

  /** Sets the machine's clock anew. */
  adjustClock(): void {
    const { life } = this;
    if (life === undefined) return;
    life.skewMs = this.#around.weather.skewMs();
    this.#noteSkew(life);
    this.#around.events.add(this.name, `clock off by ${life.skewMs} ms`);
  }

  #noteSkew({ skewMs }: Life): void {
    if (Math.abs(skewMs) >= 1000) this.#around.faults.happened('skewed-clock');
  }

  #ended(life: Life, how: string): void {
    if (!life.isAlive) return;
    this.#around.events.add(this.name, how);
    life.end();
    void this.#startLater();
  }

  async #startLater(): Promise<void> {
    await this.#around.clock.sleep(randomInteger(this.#random, 1, 30) * MINUTE_MS);
    this.start();
  }
}

interface LifeOptions {
  readonly clock: ManualClock;
  readonly skewMs: number;
  readonly crashesNow: () => boolean;
  readonly onCrash: (operation: string) => void;
}

/** The time from a machine's start to its end; afterwards nothing of it goes on. */
export class Life {
  readonly name: string;
  readonly metrics = new Metrics();
  readonly stopping = new AbortController();
  readonly lines: MemoryLog['lines'] = [];
  readonly clock: Clock;
  skewMs: number;
  readonly #options: LifeOptions;
  readonly #ended = new AbortController();
  #alive = true;

  constructor(name: string, options: LifeOptions) {
    this.name = name;
    this.#options = options;
    this.skewMs = options.skewMs;
    const { clock } = options;
    this.clock = {
      now: () => clock.now() + this.skewMs,
      sleep: (ms, signal) => this.guard(clock.sleep(ms, signal)),
    };
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  /** Aborts when it is over, in whatever way. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  end(): void {
    this.#alive = false;
    this.#ended.abort(new UnavailableError('connection reset'));
  }

  /** Asked before every operation: never resolves if there is nobody any more to do it. */
  begin(operation: string): Promise<void> {
    if (this.#alive && this.#options.crashesNow()) {
      this.end();
      this.#options.onCrash(operation);
    }
    return this.#alive ? Promise.resolve() : never();
  }

  /** What `work` comes to, for as long as there is somebody to hear of it. */
  guard<T>(work: Promise<T>): Promise<T> {
    return work.then(
      (value) => (this.#alive ? value : never()),
      (thrown: unknown) => {
        if (this.#alive) throw thrown;
        return never();
      },
    );
  }
}

/** An error of the language or an assertion; its own errors a program has foreseen. */
function isSurprise(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return true;
  return /^(TypeError|RangeError|ReferenceError|SyntaxError|AssertionError)$/.test(thrown.name);
}

function never(): Promise<never> {
  return new Promise(() => {});
}
