import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BucketIndexReader } from '#/blocks/bucket-index-reader.ts';
import { BUCKET_INDEX_NAME } from '#/blocks/bucket-index.ts';
import { BucketIndexWriter } from '#/blocks/bucket-index-writer.ts';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { BlockFetcher } from '#/blocks/fetcher.ts';
import { DeduplicateFilter, MarkFilter } from '#/blocks/filters.ts';
import { printMark } from '#/blocks/markers.ts';
import { LruByteCache } from '#/cache/lru.ts';
import { systemClock } from '#/lib/clock.ts';
import { NotFoundError } from '#/lib/errors.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import type { Bucket, ListEntry, ObjectAttributes } from '#/objstore/bucket.ts';
import { indexCacheOver } from '#/storeapi/index-cache.ts';
import { BucketBlocks } from '#/storeapi/bucket-blocks.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { emptyStats, printBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';

/*
 * How soon does a store gateway know the blocks of its bucket, with how much memory and how many
 * requests, with and without the index of the bucket? The bucket has blocks of two days with 24
 * sources each, of 500 streams, every fiftieth marked for deletion a minute ago, and takes
 * `--request-ms` for a request; a page of a listing has a thousand names. Metas are made when they are
 * read, so the memory is the store gateway's, and every row is a process of its own.
 *
 *     npm run bench -- bucket-index [--blocks 10000] [--request-ms 5]
 */
const STRATEGIES = ['concurrent', 'recursive', 'bucket-index'] as const;
const HEADER = 'strategy      ready s  requests   MB read  peak MB  idle s  requests an hour';
/** How bin/hindsight starts Node. */
const RUNTIME = ['--max-semi-space-size=8', '--expose-gc'];
const PAGE = 1000;
/** A look at every `--sync-block-duration` of 15 minutes. */
const SYNCS_AN_HOUR = 4;
const STREAMS = 500;
const DAY_MS = 24 * 3_600_000;
const START_MS = 1_700_000_000_000;
const MARK = 'deletion-mark.json';
const OBJECTS_A_BLOCK = ['chunks/000001', 'index', 'meta.json'];

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    blocks: { type: 'string', default: '10000' },
    'request-ms': { type: 'string', default: '5' },
    strategy: { type: 'string' },
    directory: { type: 'string', default: '' },
  },
});
const count = Number(values.blocks);
const requestMs = Number(values['request-ms']);
const never = new AbortController().signal;

async function measure(strategy: (typeof STRATEGIES)[number]): Promise<void> {
  const bucket = new MadeBucket(values.directory);
  const [log, metrics, disk] = [new MemoryLog(), new Metrics(), new MemoryDisk()];
  const effects = { bucket, concurrency: 32, clock: systemClock, log, metrics };
  const listing =
    strategy === 'bucket-index'
      ? new BucketIndexReader({ ...effects, maxAgeMs: 3_600_000 })
      : strategy;
  const viewer = new BlockFetcher({ ...effects, listing, disk }).view([
    MarkFilter.deletion({ ...effects, delayMs: 24 * 3_600_000 }),
    new DeduplicateFilter(),
  ]);
  const blocks = new BucketBlocks({
    ...effects,
    find: async (signal) => {
      const { metas, failures } = await viewer.fetch(signal);
      return { metas: [...metas.values()], failures };
    },
    disk,
    directory: '/data',
    indexCache: indexCacheOver(
      new LruByteCache({ maxBytes: 1, maxItemBytes: 1, clock: systemClock }),
      [],
      effects,
    ),
    headerCacheBytes: 1,
    eagerHeaders: false,
  });
  bucket.startCounting();
  const ready = await seconds(() => blocks.sync(never));
  const { requests, bytes } = bucket;
  bucket.startCounting();
  const idle = await seconds(() => blocks.sync(never));
  const columns: [value: string, width: number][] = [
    [ready.toFixed(2), 9],
    [String(requests), 10],
    [(bytes / 1e6).toFixed(1), 10],
    [peakMb(), 9],
    [idle.toFixed(2), 8],
    [String(bucket.requests * SYNCS_AN_HOUR), 18],
  ];
  print(strategy.padEnd(12) + columns.map(([value, width]) => value.padStart(width)).join(''));
  const served = blocks.groups().reduce((sum, group) => sum + group.blocks.length, 0);
  if (served !== count) throw new Error(`${served} of ${count} blocks are served`);
}

/** What a compactor does; its second look is an idle one. */
async function writeIndex(): Promise<void> {
  const bucket = new MadeBucket(values.directory);
  const [log, metrics] = [new MemoryLog(), new Metrics()];
  const effects = { concurrency: 32, clock: systemClock, log, metrics };
  const writer = new BucketIndexWriter({ bucket, ...effects });
  const first = await seconds(async () => {
    await writer.write(never);
  });
  const megabytes = (bucket.index.length / 1e6).toFixed(1);
  const again = await seconds(async () => {
    await writer.write(never);
  });
  print(
    `index of ${megabytes} MB written in ${first.toFixed(2)} s; nothing changed: ${again.toFixed(2)} s; peak ${peakMb()} MB`,
  );
}

function peakMb(): string {
  return (process.resourceUsage().maxRSS / 1024).toFixed(0);
}

/** Blocks that are made up when they are asked for, and an index in a file. */
class MadeBucket implements Bucket {
  readonly name = 'made://bucket';
  readonly #path: string;
  readonly #ids: readonly string[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #now = Date.now();
  requests = 0;
  bytes = 0;

  constructor(directory: string) {
    this.#path = join(directory, 'index');
    const random = seededRandom(1);
    this.#ids = Array.from({ length: count }, (_, i) => newUlid(START_MS + i * 60_000, random));
    this.#numbers = new Map(this.#ids.map((id, i) => [id, i]));
  }

  get index(): Uint8Array {
    return readFileSync(this.#path);
  }

  startCounting(): void {
    this.requests = 0;
    this.bytes = 0;
  }

  async *list(_prefix: string, { recursive = false } = {}): AsyncGenerator<ListEntry> {
    let entries = 0;
    for (const [i, id] of this.#ids.entries()) {
      const files = this.#isMarked(i) ? [...OBJECTS_A_BLOCK, MARK] : OBJECTS_A_BLOCK;
      const names = recursive ? files.map((file) => `${id}/${file}`) : [`${id}/`];
      for (const name of names) {
        if (entries++ % PAGE === 0) await this.#request();
        yield recursive ? { name, sizeBytes: 1000, modifiedMs: START_MS } : { name };
      }
    }
  }

  async read(name: string): Promise<Uint8Array> {
    await this.#request();
    const bytes = name === BUCKET_INDEX_NAME ? this.index : this.#file(name);
    this.bytes += bytes.length;
    return bytes;
  }

  async *readStream(name: string): AsyncGenerator<Uint8Array> {
    yield await this.read(name);
  }

  async attributes(name: string): Promise<ObjectAttributes | undefined> {
    await this.#request();
    const isIndex = name === BUCKET_INDEX_NAME;
    if (isIndex && !existsSync(this.#path)) return undefined;
    return { sizeBytes: 1, modifiedMs: START_MS, version: '1' };
  }

  upload(name: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
    assert.ok(name === BUCKET_INDEX_NAME && content instanceof Uint8Array);
    writeFileSync(this.#path, content);
    return this.#request();
  }

  remove(): Promise<void> {
    return this.#request();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  async #request(): Promise<void> {
    this.requests++;
    await new Promise((wake) => setTimeout(wake, requestMs));
  }

  #isMarked(number: number): boolean {
    return number % 50 === 0;
  }

  #file(name: string): Uint8Array {
    const id = name.slice(0, 26);
    const number = this.#numbers.get(id)!;
    if (name.endsWith('/meta.json')) return encode(printBlockMeta(metaOf(id, number)));
    if (!this.#isMarked(number)) throw new NotFoundError(`${name} does not exist`);
    const mark = { id, timeMs: this.#now, details: 'source of a compacted block', reason: '' };
    return encode(printMark('deletion', mark));
  }
}

function metaOf(ulid: string, number: number): BlockMeta {
  const random = seededRandom(number + 2);
  const minTime = START_MS + Math.floor(number / STREAMS) * 2 * DAY_MS;
  const sources = Array.from({ length: 24 }, (_, i) => newUlid(minTime + i * 7_200_000, random));
  const labels = { cluster: `eu-west-${number % STREAMS}`, prometheus: 'monitoring/k8s' };
  const files = ['chunks/000001', 'chunks/000002', 'index', 'meta.json'];
  return {
    ulid,
    minTime,
    maxTime: minTime + 2 * DAY_MS,
    stats: { ...emptyStats, numSamples: 5e8 + number, numSeries: 100_000, numChunks: 4e6 },
    compaction: {
      level: 3,
      sources,
      deletable: false,
      parents: sources.slice(0, 6).map((parent) => ({ ulid: parent, minTime, maxTime: minTime })),
      failed: false,
      hints: [],
    },
    version: 1,
    thanos: {
      ...emptyThanosMeta,
      labels,
      source: 'compactor',
      files: files.map((relPath) => ({ relPath, sizeBytes: 1e6 + number })),
      uploadTime: new Date(minTime).toISOString(),
    },
  };
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (values.strategy === undefined) {
  const directory = mkdtempSync(join(tmpdir(), 'bucket-index-'));
  process.on('exit', () => rmSync(directory, { recursive: true }));
  print(`${count} blocks, ${requestMs} ms a request`);
  for (const strategy of ['write', ...STRATEGIES]) {
    const args = ['--strategy', strategy, '--blocks', values.blocks, '--directory', directory];
    const all = [...RUNTIME, import.meta.filename, ...args, '--request-ms', values['request-ms']];
    process.stdout.write(execFileSync(process.execPath, all, { encoding: 'utf8' }));
    if (strategy === 'write') print(HEADER);
  }
} else if (values.strategy === 'write') await writeIndex();
else await measure(values.strategy as (typeof STRATEGIES)[number]);
