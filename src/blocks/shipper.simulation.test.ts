import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { FaultAt } from '#/lib/faults.ts';
import type { Fault, FaultPlan } from '#/lib/faults.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { randomItem, seededRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { parseBlockMeta, printBlockMeta } from '#/tsdb/block-meta.ts';
import { readLocalMeta } from './block-files.ts';
import { BlockFetcher } from './fetcher.ts';
import { Shipper } from './shipper.ts';
import {
  decode,
  encode,
  idAt,
  never,
  sampleMeta,
  writeSampleBlock,
} from './testing/sample-block.ts';

const DATA = '/prometheus';
const START = 1_700_000_000_000;
const ID = idAt(START);
const ORIGINAL = sampleMeta({ ulid: ID, minTime: START - 7_200_000, maxTime: START });

/** A Prometheus with one block, and an empty bucket, watched at every operation on either. */
class World {
  readonly clock = new ManualClock(START);
  readonly disk = new MemoryDisk({ clock: this.clock });
  readonly bucket = new MemoryBucket({ clock: this.clock });
  /** What a reader could have got wrong, and when. */
  readonly violations: string[] = [];

  static async create(): Promise<World> {
    const world = new World();
    await writeSampleBlock(world.disk, DATA, ORIGINAL);
    return world;
  }

  /** Lets `faults` decide over every operation from here on; `undefined` mends everything. */
  restart(faults?: FaultPlan): void {
    const plan: FaultPlan = (operation) => {
      this.#look(operation);
      return faults?.(operation);
    };
    this.disk.faults = plan;
    this.bucket.faults = plan;
  }

  async ship(): Promise<void> {
    await new Shipper(
      {
        directory: DATA,
        bucket: this.bucket,
        labels: () => Labels.fromObject({ replica: 'a' }),
        source: 'sidecar',
        uploadConcurrency: 2,
      },
      { disk: this.disk, clock: this.clock, log: new MemoryLog(), metrics: new Metrics() },
    ).sync(never);
  }

  /** A block with a `meta.json` must be whole at that very moment, byte for byte. */
  #look(operation: string): void {
    for (const name of this.bucket.names) {
      if (!name.endsWith('/meta.json')) continue;
      const meta = parseBlockMeta(decode(this.bucket.peek(name)!), name);
      const wanted = ['chunks/000001', 'chunks/000002', 'index', 'meta.json'];
      assert.deepEqual(
        meta.thanos?.files.map((file) => file.relPath),
        wanted,
      );
      for (const { relPath, sizeBytes } of meta.thanos.files) {
        const found = this.bucket.peek(`${ID}/${relPath}`);
        const whole = relPath === 'meta.json' || found?.length === sizeBytes;
        if (!whole) this.violations.push(`before ${operation}: ${relPath} is not whole`);
      }
    }
  }

  /** As a store sees the bucket. */
  async view() {
    const fetcher = new BlockFetcher({
      bucket: this.bucket,
      listing: 'recursive',
      concurrency: 2,
      clock: this.clock,
      disk: this.disk,
      log: new MemoryLog(),
      metrics: new Metrics(),
    });
    return fetcher.view([]).fetch(never);
  }

  /** Everything is as it should be after a pass without faults. */
  async checkShipped(): Promise<void> {
    assert.deepEqual(this.violations, []);
    const { metas, partial, failures } = await this.view();
    assert.deepEqual([...metas.keys()], [ID]);
    assert.deepEqual([partial.size, failures.length], [0, 0]);
    const { thanos, ...rest } = metas.get(ID)!;
    const { thanos: _none, ...original } = ORIGINAL;
    assert.deepEqual(rest, original);
    assert.deepEqual(thanos?.labels, { replica: 'a' });
    assert.deepEqual(thanos.segmentFiles, ['000001', '000002']);
    for (const file of ['chunks/000001', 'chunks/000002', 'index']) {
      const local = await this.disk.read(join(DATA, ID, file));
      assert.deepEqual(this.bucket.peek(`${ID}/${file}`), local);
    }
    assert.equal(this.bucket.names.length, 4);
    // Prometheus's own block is as it was, and nothing of the upload stays behind.
    assert.deepEqual(await readLocalMeta(this.disk, join(DATA, ID)), ORIGINAL);
    assert.ok(!this.disk.paths.some((path) => path.startsWith(`${DATA}/thanos/`)));
    const state = decode(await this.disk.read(`${DATA}/thanos.shipper.json`));
    assert.deepEqual(JSON.parse(state), { version: 1, uploaded: [ID] });
  }
}

/** Tries the fault at every operation of a pass, restarts, and checks the outcome. */
async function atEveryOperation(
  fault: Fault,
  crash: boolean,
  ship: (world: World) => Promise<void>,
): Promise<{ operations: number; violations: string[] }> {
  const violations: string[] = [];
  for (let at = 0; ; at++) {
    const world = await World.create();
    const faults = new FaultAt(at, fault, crash);
    world.restart(faults.plan);
    await ship(world).catch(() => undefined);
    world.restart();
    const { metas, failures } = await world.view();
    assert.deepEqual(failures, []);
    for (const id of metas.keys()) assert.equal(id, ID);
    await world.ship();
    violations.push(...world.violations.map((text) => `${fault} at ${at}: ${text}`));
    if (world.violations.length === 0) await world.checkShipped();
    if (faults.count <= at) return { operations: at, violations };
  }
}

describe('the shipper under faults', () => {
  for (const fault of ['refuse', 'tear', 'lose-reply'] as const) {
    for (const crash of [true, false]) {
      test(`one whole block after ${crash ? 'a crash' : 'a failure'} (${fault}) at any operation`, async () => {
        const { operations, violations } = await atEveryOperation(fault, crash, (world) =>
          world.ship(),
        );
        assert.deepEqual(violations, []);
        assert.ok(operations > 30, `only ${operations} operations`);
      });
    }
  }

  test('one whole block after random faults over several restarts', async () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      const world = await World.create();
      const faults: readonly Fault[] = ['refuse', 'tear', 'lose-reply'];
      for (let life = 0; life < 4; life++) {
        let crashed = false;
        world.restart(() => {
          if (crashed) return 'refuse';
          if (random.next() > 0.05) return undefined;
          crashed = random.next() < 0.5;
          return randomItem(random, faults);
        });
        await world.ship().catch(() => undefined);
      }
      world.restart();
      await world.ship();
      await world.checkShipped().catch((thrown: unknown) => {
        throw new Error(`seed ${seed}`, { cause: thrown });
      });
    }
  });

  test('the check finds an uploader that sends meta.json first', async () => {
    const { violations } = await atEveryOperation('refuse', true, uploadMetaFirst);
    assert.ok(violations.length > 0);
    assert.match(violations[0]!, /chunks\/000001 is not whole/);
  });

  test('the check finds an upload of meta.json beside that of the index', async () => {
    const { violations } = await atEveryOperation('refuse', true, async (world) => {
      const [meta, index] = await wrongUploads(world);
      await uploadChunks(world);
      await Promise.all([meta(), index()]);
    });
    assert.match(violations.join('\n'), /index is not whole/);
  });
});

async function uploadMetaFirst(world: World): Promise<void> {
  const [meta, index] = await wrongUploads(world);
  await meta();
  await uploadChunks(world);
  await index();
}

async function uploadChunks({ disk, bucket }: World): Promise<void> {
  for (const name of ['chunks/000001', 'chunks/000002']) {
    await bucket.upload(`${ID}/${name}`, await disk.read(join(DATA, ID, name)));
  }
}

/** Uploads of meta and index, for uploaders that do it in the wrong order. */
async function wrongUploads({ disk, bucket }: World) {
  const index = await disk.read(join(DATA, ID, 'index'));
  const files = [];
  for (const relPath of ['chunks/000001', 'chunks/000002', 'index']) {
    files.push({ relPath, sizeBytes: (await disk.stat(join(DATA, ID, relPath)))!.sizeBytes });
  }
  const thanos = {
    labels: { replica: 'a' },
    downsample: { resolution: 0 },
    source: 'sidecar',
    segmentFiles: ['000001', '000002'],
    files: [...files, { relPath: 'meta.json', sizeBytes: 0 }],
    rewrites: [],
    indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
    uploadTime: '',
  };
  const text = printBlockMeta({ ...ORIGINAL, thanos });
  return [
    () => bucket.upload(`${ID}/meta.json`, encode(text)),
    () => bucket.upload(`${ID}/index`, index),
  ] as const;
}
