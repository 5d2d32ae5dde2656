import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fault, FaultPlan } from '#/lib/faults.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { randomInteger, randomItem, seededRandom } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { parseBlockMeta } from '#/tsdb/block-meta.ts';
import { Shipper } from './shipper.ts';
import { decode, idAt, never, sampleMeta, writeSampleBlock } from './testing/sample-block.ts';

const DATA = '/prometheus';
const START = 1_700_000_000_000;
const HOURS = 3_600_000;
const FILES = ['chunks/000001', 'chunks/000002', 'index'];
const faultKinds: readonly Fault[] = ['refuse', 'tear', 'lose-reply'];

/**
 * A Prometheus that cuts blocks and deletes them, also while they are uploaded, on a disk that is
 * full now and then, with a clock that jumps. What ought to come of it is known.
 */
class Machine {
  readonly clock = new ManualClock(START);
  readonly disk = new MemoryDisk({ clock: this.clock });
  readonly bucket = new MemoryBucket({ clock: this.clock });
  readonly #random: Random;
  /** The bytes of every block that was ever cut. */
  readonly #cut = new Map<string, ReadonlyMap<string, Uint8Array>>();
  /** Blocks of which there were links when Prometheus deleted them, and those it still has. */
  readonly #owed = new Set<string>();
  /** How often each `meta.json` was written, lost replies included. */
  readonly #announced = new Map<string, number>();
  #crashed = false;

  constructor(random: Random) {
    this.#random = random;
  }

  async cutBlock(i: number): Promise<void> {
    const id = idAt(START + i);
    const skew = randomInteger(this.#random, -1, 1) * 8760 * HOURS;
    const minTime = START + skew + i * 2 * HOURS;
    const meta = sampleMeta({ ulid: id, minTime, maxTime: minTime + 2 * HOURS });
    this.disk.faults = undefined;
    this.disk.full = false;
    await writeSampleBlock(this.disk, DATA, meta);
    const files = new Map<string, Uint8Array>();
    for (const file of FILES) files.set(file, await this.disk.read(`${DATA}/${id}/${file}`));
    this.#cut.set(id, files);
    this.#owed.add(id);
  }

  /** One life of a sidecar: a pass or two, disturbed at random or not at all. */
  async live(disturbed: boolean): Promise<void> {
    this.#crashed = false;
    const plan: FaultPlan = (operation) => {
      this.#look(operation);
      return disturbed ? this.#disturb(operation) : undefined;
    };
    this.disk.full = disturbed && this.#random.next() < 0.2;
    this.disk.faults = plan;
    this.bucket.faults = plan;
    const shipper = new Shipper(
      {
        directory: DATA,
        bucket: this.bucket,
        labels: () => Labels.fromObject({ replica: 'a' }),
        source: 'sidecar',
        uploadConcurrency: randomInteger(this.#random, 1, 3),
      },
      { disk: this.disk, clock: this.clock, log: new MemoryLog(), metrics: new Metrics() },
    );
    for (let pass = 0; pass < 2; pass++) {
      const done = shipper.sync(never);
      await (disturbed ? done.catch(() => undefined) : done);
    }
  }

  #disturb(operation: string): Fault | undefined {
    // Prometheus's own doings never fail.
    if (/^disk\.remove \/prometheus\/\w+$/.test(operation)) return undefined;
    if (this.#crashed) return 'refuse';
    const dice = this.#random.next();
    if (dice < 0.01) this.#deleteBlock();
    else if (dice < 0.02) this.clock.set(START + randomInteger(this.#random, -9, 9) * 1000 * HOURS);
    else if (dice < 0.03) this.disk.full = !this.disk.full;
    else if (dice < 0.06) {
      this.#crashed = this.#random.next() < 0.3;
      return this.#announce(operation, randomItem(this.#random, faultKinds));
    }
    return this.#announce(operation, undefined);
  }

  #announce(operation: string, fault: Fault | undefined): Fault | undefined {
    const id = /^bucket\.upload (\w+)\/meta\.json$/.exec(operation)?.[1];
    if (id !== undefined && (fault === undefined || fault === 'lose-reply')) {
      this.#announced.set(id, (this.#announced.get(id) ?? 0) + 1);
    }
    return fault;
  }

  /** As Prometheus does, in one step for whoever looks: nothing of it is under its name any more. */
  #deleteBlock(): void {
    const id = [...this.#cut.keys()].find((name) => this.#isLocal(name));
    if (id === undefined) return;
    const staged = this.disk.paths.includes(`${DATA}/thanos/upload/${id}/meta.json`);
    if (!staged && !this.bucket.names.includes(`${id}/meta.json`)) this.#owed.delete(id);
    void this.disk.remove(`${DATA}/${id}`);
  }

  #isLocal(id: string): boolean {
    return this.disk.paths.some((path) => path.startsWith(`${DATA}/${id}/`));
  }

  /** Whatever has a `meta.json` is whole at that moment, byte for byte. */
  #look(operation: string): void {
    for (const name of this.bucket.names) {
      if (!name.endsWith('/meta.json')) continue;
      const id = name.slice(0, 26);
      for (const [file, bytes] of this.#cut.get(id)!) {
        assert.deepEqual(this.bucket.peek(`${id}/${file}`), bytes, `${id}/${file} at ${operation}`);
      }
    }
  }

  /** Everything that can be in the bucket is, announced once, and nothing of it is left on the disk. */
  check(): void {
    this.#look('the end');
    for (const id of this.#owed) {
      const bytes = this.bucket.peek(`${id}/meta.json`);
      assert.ok(bytes !== undefined, `${id} is lost`);
      const { ulid, thanos } = parseBlockMeta(decode(bytes), id);
      assert.deepEqual([ulid, thanos?.labels], [id, { replica: 'a' }]);
    }
    for (const [id, times] of this.#announced)
      assert.equal(times, 1, `${id} uploaded ${times} times`);
    assert.ok(!this.disk.paths.some((path) => path.startsWith(`${DATA}/thanos/`)));
  }
}

test('every block is uploaded once, though Prometheus deletes blocks, the disk is full and the clock jumps', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const machine = new Machine(seededRandom(seed));
    try {
      for (let life = 0; life < 6; life++) {
        await machine.cutBlock(life);
        await machine.live(true);
      }
      await machine.live(false);
      machine.check();
    } catch (thrown) {
      throw new Error(`seed ${seed}`, { cause: thrown });
    }
  }
});
