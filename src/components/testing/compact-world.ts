import { join } from 'node:path';
import { blockIdOf, emptyThanosMeta, metaName } from '#/blocks/block-files.ts';
import { BUCKET_INDEX_NAME, decodeBucketIndex } from '#/blocks/bucket-index.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import { COMPACTION_RANGES } from '#/compact/planner.ts';
import type { FaultPlan } from '#/lib/faults.ts';
import { HttpClient, readAll } from '#/http/client.ts';
import { systemClock } from '#/lib/clock.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { parseBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { runCompact } from '../compact.ts';
import type { CompactConfig } from '../compact.ts';
import type { Runtime } from '../runtime.ts';

export const HOUR_MS = 3_600_000;
/** The start of an aligned range of two weeks. */
export const START_MS = Math.floor(1_700_000_000_000 / (336 * HOUR_MS)) * 336 * HOUR_MS;

interface BlockOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** In hours after `START_MS`. */
  readonly from: number;
  readonly to: number;
  readonly stepMs?: number;
  /** Added to every sample's time. */
  readonly offsetMs?: number;
  readonly series?: readonly string[];
}

/** A bucket, and a compactor that can be started on it again and again, all in memory. */
export class CompactWorld {
  readonly clock = new ManualClock(START_MS + 1000 * HOUR_MS);
  readonly disk = new MemoryDisk({ clock: this.clock });
  readonly bucket = new MemoryBucket({ clock: this.clock });
  readonly log = new MemoryLog();
  readonly net = new MemoryNet();
  metrics = new Metrics();
  #random = seededRandom(11);

  /** Lets `faults` decide over every operation from here on; `undefined` mends everything. */
  restart(faults?: FaultPlan): void {
    this.disk.faults = faults;
    this.bucket.faults = faults;
  }

  /** Uploads a block as a sidecar does: a counter from 0 in every series. */
  async addBlock(options: BlockOptions): Promise<BlockMeta> {
    const { labels = { cluster: 'a' }, stepMs = 60_000, offsetMs = 0 } = options;
    const from = START_MS + options.from * HOUR_MS;
    const to = START_MS + options.to * HOUR_MS;
    const builder = new BlockBuilder();
    for (const series of options.series ?? ['up', 'down']) {
      const samples = builder.samples(Labels.fromObject({ __name__: series }));
      for (let time = from + offsetMs; time < to; time += stepMs) {
        samples.pushFloat(time, Math.floor((time - START_MS) / stepMs) % 1000);
      }
    }
    const ulid = newUlid(to, this.#random);
    await builder.write(this.disk, '/made', {
      ulid,
      minTime: from,
      maxTime: to,
      thanos: { ...emptyThanosMeta, labels, source: 'sidecar' },
    });
    const signal = new AbortController().signal;
    const { disk, bucket, clock } = this;
    const directory = join('/made', ulid);
    const meta = await uploadBlock({ disk, clock, bucket, directory, signal });
    await disk.remove('/made');
    return meta;
  }

  /** Runs a compactor to its end. */
  async compact(over: Partial<CompactConfig> = {}): Promise<void> {
    this.metrics = new Metrics();
    const parts = { net: new MemoryNet(), probe: new Probe() };
    await this.#run(over, { ...parts, signal: new AbortController().signal });
  }

  #run(
    over: Partial<CompactConfig>,
    parts: Pick<Runtime, 'net' | 'probe' | 'signal'>,
  ): Promise<void> {
    const { clock, disk, log, metrics } = this;
    const random = this.#random;
    return runCompact(this.config(over), { clock, disk, random, log, metrics, ...parts });
  }

  /** What the compactor's HTTP server answers; waits for the server for a while. */
  async ask(path: string, init: { method?: 'GET' | 'POST'; body?: string } = {}) {
    using client = new HttpClient({ net: this.net, clock: systemClock, userAgent: 'test' });
    const url = new URL(path, `http://${this.config().http.address}`);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const signal = AbortSignal.timeout(10_000);
    for (;;) {
      try {
        const response = await client.send({ url, ...init, headers }, signal);
        const text = (await readAll(response, 2 ** 26)).toString();
        return { status: response.status, headers: response.headers, text };
      } catch (thrown) {
        signal.throwIfAborted();
        if (!(thrown instanceof UnavailableError)) throw thrown;
        await systemClock.sleep(5, signal);
      }
    }
  }

  /** Starts a compactor that stays; its HTTP is at `config().http.address` on `net`. */
  start(over: Partial<CompactConfig> = {}): AsyncDisposable & { readonly probe: Probe } {
    this.metrics = new Metrics();
    const probe = new Probe();
    const stop = new AbortController();
    const parts = { net: this.net, probe, signal: stop.signal };
    const running = this.#run({ wait: true, ...over }, parts).catch((thrown: unknown) => {
      if (!stop.signal.aborted) this.log.error('the compactor failed', { err: thrown });
    });
    return {
      probe,
      async [Symbol.asyncDispose]() {
        stop.abort();
        await running;
      },
    };
  }

  config(over: Partial<CompactConfig> = {}): CompactConfig {
    const { bucket } = this;
    return {
      http: { address: '127.0.0.1:10902', gracePeriodMs: 0 },
      openBucket: () => Promise.resolve(bucket),
      dataDirectory: '/data',
      wait: false,
      waitIntervalMs: 300_000,
      cleanupIntervalMs: 0,
      progressIntervalMs: 0,
      sync: { listing: 'recursive', metaConcurrency: 4 },
      filters: {
        minTime: () => Number.NEGATIVE_INFINITY,
        maxTime: () => Number.POSITIVE_INFINITY,
        consistencyDelayMs: 0,
      },
      leases: undefined,
      deleteDelayMs: 48 * HOUR_MS,
      replicaLabels: [],
      verticalCompaction: false,
      algorithm: 'chain',
      skipOutOfOrderChunks: false,
      maxIndexBytes: 64 * 2 ** 30,
      concurrency: 1,
      downsampleConcurrency: 1,
      blockFetchConcurrency: 2,
      fileConcurrency: 2,
      hashFunction: '',
      ranges: COMPACTION_RANGES,
      downsampleAges: undefined,
      retentions: new Map(),
      seriesDeletions: { keepMs: 30 * 24 * HOUR_MS, adminApi: true },
      web: {
        label: '',
        adminOperations: true,
        cors: true,
        routePrefix: '',
        maxAgeMs: 60_000,
        timeoutMs: 300_000,
        status: { version: 'test', startedAtMs: START_MS, flags: {} },
      },
      ...over,
    };
  }

  /** Whole blocks that are not marked for deletion, by labels and time. */
  async blocks(): Promise<BlockMeta[]> {
    const found: BlockMeta[] = [];
    const names = await this.names();
    for (const name of names) {
      if (
        !name.endsWith('/meta.json') ||
        names.includes(`${name.slice(0, 26)}/deletion-mark.json`)
      ) {
        continue;
      }
      found.push(parseBlockMeta(new TextDecoder().decode(await this.bucket.read(name)), name));
    }
    const key = ({ thanos, minTime }: BlockMeta) =>
      `${JSON.stringify(thanos?.labels)} ${thanos?.downsample.resolution} ${minTime}`;
    return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  /** `0-8` for each of `blocks()`: hours. */
  async ranges(): Promise<string> {
    const hour = (time: number) => (time - START_MS) / HOUR_MS;
    return (await this.blocks())
      .map(({ minTime, maxTime }) => `${hour(minTime)}-${hour(maxTime)}`)
      .join(' ');
  }

  /** All samples of the blocks that are not marked, by labels and series: time to value. */
  async samples(): Promise<Map<string, Map<number, number>>> {
    const all = new Map<string, Map<number, number>>();
    for (const { ulid, thanos } of await this.blocks()) {
      if (thanos?.downsample.resolution !== 0) continue;
      const block = await this.open(ulid);
      for await (const batch of streamSeries(block)) {
        for (const { labels, chunks } of batch) {
          const key = `${JSON.stringify(thanos.labels)} ${labels.toMetricString()}`;
          const samples = all.getOrInsertComputed(key, () => new Map<number, number>());
          for (const chunk of chunks) {
            const buffer = new SampleBuffer();
            decodeChunk(chunk, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, buffer);
            for (let i = 0; i < buffer.length; i++) {
              samples.set(buffer.times[i]!, buffer.values[i]!);
            }
          }
        }
      }
    }
    return all;
  }

  /** Copies a block of the bucket to a disk and opens it. */
  async open(ulid: string): Promise<Block> {
    const disk = new MemoryDisk();
    for await (const { name } of this.bucket.list(`${ulid}/`, { recursive: true })) {
      await disk.write(`/${name}`, await this.bucket.read(name));
    }
    return Block.open(disk, `/${ulid}`);
  }

  async names(): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of this.bucket.list('', { recursive: true })) found.push(name);
    return found;
  }

  /** Directories in the bucket without a `meta.json`. */
  async partial(): Promise<string[]> {
    const names = new Set(await this.names());
    const ids = new Set([...names].map(blockIdOf).filter((id) => id !== undefined));
    return [...ids].filter((id) => !names.has(metaName(id)));
  }

  /** Of the bucket's index: ULIDs of blocks that are not marked for deletion. */
  async indexed(): Promise<string[]> {
    const bytes = this.bucket.peek(BUCKET_INDEX_NAME);
    if (bytes === undefined) return [];
    const { blocks } = await decodeBucketIndex(bytes, BUCKET_INDEX_NAME);
    return [...blocks.values()]
      .filter(({ marks }) => marks.deletion === undefined)
      .map(({ meta }) => meta.ulid)
      .sort();
  }

  /** The value of a metric without labels. */
  async metric(name: string): Promise<number> {
    const match = new RegExp(`^${name} (.*)$`, 'm').exec(await this.metrics.text());
    return Number(match?.[1]);
  }
}
