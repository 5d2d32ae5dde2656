import { ByteWriter } from '#/lib/byte-writer.ts';
import { LimitError } from '#/lib/errors.ts';
import type { PortableSeries, Series } from '#/storage/queryable.ts';
import type { PlanNode } from '../planner/nodes.ts';
import type { ShardAnswer, Shards } from '../shards.ts';
import type { StepColumn } from '../step-column.ts';
import type { QueryRun } from './query-run.ts';
import { errorOf } from './shard-answer.ts';
import type { SeriesNotes } from './shard-answer.ts';
import { ShardMemory } from './shard-memory.ts';

/** A few milliseconds of work. */
const BATCH_BYTES = 1 << 20;
const BATCH_SERIES = 256;

/** A series that can be sent elsewhere. */
export interface SentSeries extends Pick<Series, 'labels'> {
  readonly portable: PortableSeries;
}

export interface ReadAheadOptions {
  /** For the other side; see `ShardTask`. */
  readonly plan: PlanNode;
  readonly series: readonly SentSeries[];
  readonly order: readonly number[];
  readonly shards: Shards;
}

/**
 * Has series evaluated elsewhere, a few batches at a time, in the order in which they will be read.
 * What a series did there besides its column is done here when it is read, so results, messages
 * and counts are those of reading it here.
 */
export class ReadAhead {
  readonly #options: ReadAheadOptions;
  readonly #run: QueryRun;
  readonly #batchBytes: number;
  readonly #writer: ByteWriter;
  readonly #batches: Batch[] = [];
  readonly #free: SharedArrayBuffer[] = [];
  /** The first place in the order that no batch has. */
  #next = 0;

  constructor(options: ReadAheadOptions, run: QueryRun) {
    this.#options = options;
    this.#run = run;
    this.#batchBytes = options.shards.batchBytes ?? BATCH_BYTES;
    this.#writer = new ByteWriter(this.#batchBytes);
  }

  /** Resolves when the first series are there. */
  async start(): Promise<void> {
    this.#fill();
    await this.#run.wait(Promise.all(this.#soon().map(({ settled }) => settled)));
  }

  /** Whether the series was there; if not, nothing has happened. */
  read(index: number, into: StepColumn): boolean {
    const at = this.#batches.findIndex(({ places }) => places.has(index));
    if (at < 0) return false;
    for (const passed of this.#batches.splice(0, at)) this.#drop(passed);
    const batch = this.#batches[0]!;
    const place = batch.places.get(index)!;
    const isThere = this.#take(batch, place, this.#options.series[index]!.portable, into);
    if (--batch.unread === 0) this.#drop(this.#batches.shift()!);
    this.#fill();
    for (const { isSettled, settled } of this.#soon()) {
      if (!isSettled) this.#run.pauseFor(settled);
    }
    return isThere;
  }

  /** Nothing more will be read. */
  stop(): void {
    this.#next = this.#options.order.length;
    for (const batch of this.#batches.splice(0)) this.#drop(batch);
  }

  /** Batches that must be there: several series may be read before the next pause. */
  #soon(): readonly Batch[] {
    return this.#batches.slice(0, 2);
  }

  #take(batch: Batch, place: number, portable: PortableSeries, into: StepColumn): boolean {
    if (batch.failure !== undefined) throw batch.failure.thrown;
    if (batch.notes === undefined) return false;
    const { damage, annotations, failure, histograms } = batch.notes.get(place) ?? {};
    for (const message of damage ?? []) portable.onDamage(message);
    this.#run.addEffects({ ...batch.memory.readCounts(place), notes: annotations });
    if (failure !== undefined) throw errorOf(failure);
    batch.memory.readColumn(place, into);
    into.histograms = histograms?.slice();
    this.#run.spend(into.steps / 8);
    return true;
  }

  /** Keeps as many batches going that nobody waits for the next, and no more. */
  #fill(): void {
    const { order, shards } = this.#options;
    const most = 2 * shards.runner.size + 1;
    while (this.#batches.length < most && this.#next < order.length) {
      const batch = this.#newBatch();
      if (batch === undefined) return;
      this.#batches.push(batch);
    }
  }

  /** `undefined` if the query's budget has no room for it. */
  #newBatch(): Batch | undefined {
    const { order, series, plan } = this.#options;
    const { steps } = plan.grid;
    const writer = this.#writer;
    const places = new Map<number, number>();
    let next = this.#next;
    writer.clear();
    for (; next < order.length && places.size < BATCH_SERIES; next++) {
      const index = order[next]!;
      if (places.has(index)) continue;
      places.set(index, places.size);
      series[index]!.portable.write(writer);
      const columns = ShardMemory.sizeFor({ series: places.size, steps });
      if (writer.length + columns > this.#batchBytes) {
        next++;
        break;
      }
    }
    const shape = { series: places.size, steps };
    const buffer = this.#buffer(ShardMemory.sizeFor(shape) + writer.length);
    if (buffer === undefined) return undefined;
    this.#next = next;
    const memory = new ShardMemory(buffer, shape);
    memory.isCanceled = false;
    memory.bytes.set(writer.written());
    return this.#send({ buffer, memory, places, unread: places.size });
  }

  #send(shared: Pick<Batch, 'buffer' | 'memory' | 'places' | 'unread'>): Batch {
    const { plan, series, shards } = this.#options;
    const { budget, signal } = this.#run;
    const members = Array.from(shared.places.keys(), (index) => series[index]!);
    const cancel = () => (shared.memory.isCanceled = true);
    signal.addEventListener('abort', cancel, { once: true });
    const task = {
      plan,
      flags: this.#run.flags,
      reading: members[0]!.portable.reading,
      labels: members.map(({ labels }) => labels.flat),
      memory: shared.buffer,
      limitBytes: budget.limitBytes,
      usedBytes: budget.usedBytes,
    };
    const settle = () => {
      batch.isSettled = true;
      signal.removeEventListener('abort', cancel);
    };
    const settled = shards.runner.run(task, signal).then(
      ({ notes }: ShardAnswer) => {
        batch.notes = new Map(notes.map((note) => [note.series, note]));
        settle();
      },
      (thrown: unknown) => {
        batch.failure = { thrown };
        settle();
      },
    );
    const nothing = { isSettled: false, notes: undefined, failure: undefined };
    const batch: Batch = { ...shared, ...nothing, settled };
    return batch;
  }

  #buffer(bytes: number): SharedArrayBuffer | undefined {
    const known = this.#free.pop();
    if (known !== undefined && known.byteLength >= bytes) return known;
    if (known !== undefined) this.#run.release(known.byteLength);
    // Large enough for most batches, so that it is used again.
    const size = Math.max(bytes, Math.ceil(1.25 * this.#batchBytes));
    try {
      this.#run.reserve(size);
    } catch (thrown) {
      if (thrown instanceof LimitError) return undefined;
      throw thrown;
    }
    return new SharedArrayBuffer(size);
  }

  /** Memory that a worker may still write to is left to it, and stays counted. */
  #drop({ isSettled, buffer, memory }: Batch): void {
    if (!isSettled) memory.isCanceled = true;
    else if (this.#next < this.#options.order.length) this.#free.push(buffer);
    else this.#run.release(buffer.byteLength);
  }
}

interface Batch {
  readonly buffer: SharedArrayBuffer;
  readonly memory: ShardMemory;
  /** Where in the task each series is, by its index. */
  readonly places: ReadonlyMap<number, number>;
  unread: number;
  /** Resolves, whatever comes of it. */
  readonly settled: Promise<void>;
  isSettled: boolean;
  /** By place, once it is answered. */
  notes: ReadonlyMap<number, SeriesNotes> | undefined;
  failure: { readonly thrown: unknown } | undefined;
}
