import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markBlock } from '#/blocks/markers.ts';
import { FaultAt } from '#/lib/faults.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import type { MemoryBucket } from '#/objstore/memory.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { printBlockMeta } from '#/tsdb/block-meta.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { writeTombstones } from '#/tsdb/tombstones.ts';
import { bucketToolInMemory, HOUR_MS, START_MS } from '../testing/bucket-tool.ts';
import { importBlocks } from './bucket-import.ts';
import type { ImportConfig } from './bucket-import.ts';
import { verifyBlocks } from './bucket-verify.ts';

const labels = Labels.fromObject({ cluster: 'a' });

function importOf(text: string, over: Partial<ImportConfig> = {}, maxSamples = 50): ImportConfig {
  return {
    from: {
      kind: 'openmetrics',
      open: () =>
        Promise.resolve({ name: 'x.txt', sizeBytes: text.length, pieces: piecesOf(text) }),
      windowMs: 2 * HOUR_MS,
      maxSamples,
    },
    labels,
    dataDirectory: '/data',
    allowOverlap: false,
    dryRun: false,
    hashFunction: '',
    concurrency: 2,
    ...over,
  };
}

async function* piecesOf(text: string): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += 700) yield Buffer.from(text.slice(at, at + 700));
}

/** Five hours of samples a minute, of five series, in any order. */
function shuffledText(): { readonly text: string; readonly want: ReadonlySet<string> } {
  const random = seededRandom(7);
  const lines: string[] = [];
  const want = new Set<string>();
  for (let i = 0; i < 5; i++) {
    for (let at = START_MS; at < START_MS + 5 * HOUR_MS; at += 60_000) {
      const value = Math.floor(random.next() * 1000);
      lines.push(`up{instance="${i}"} ${value} ${at / 1000}\n`);
      want.add(`up{instance="${i}"} ${value} ${at}`);
    }
  }
  const order = new Map(lines.map((line) => [line, random.next()]));
  lines.sort((a, b) => order.get(a)! - order.get(b)!);
  return { text: `${lines.join('')}# EOF\n`, want };
}

async function diskOf(bucket: MemoryBucket): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  for (const name of bucket.names) await disk.write(`/${name}`, bucket.peek(name)!);
  return disk;
}

/** `series value time` of all samples in whole blocks; one that is there twice fails. */
async function samplesOf(bucket: MemoryBucket): Promise<Set<string>> {
  const disk = await diskOf(bucket);
  const found = new Set<string>();
  for (const name of bucket.names.filter((one) => one.endsWith('/meta.json'))) {
    const block = await Block.open(disk, `/${name.slice(0, 26)}`);
    for await (const batch of streamSeries(block)) {
      for (const { labels: series, chunks } of batch) {
        const buffer = new SampleBuffer();
        for (const chunk of chunks) decodeChunk(chunk, -Infinity, Infinity, buffer);
        for (let i = 0; i < buffer.length; i++) {
          const text = `${series.toMetricString()} ${buffer.values[i]} ${buffer.times[i]}`;
          assert.ok(!found.has(text), `${text} is there once`);
          found.add(text);
        }
      }
    }
  }
  return found;
}

const { text, want } = shuffledText();

describe('tools bucket import', () => {
  test('imports a text that is larger than memory and in any order, in aligned blocks', async () => {
    const { tool, bucket, disk, text: output } = bucketToolInMemory();
    assert.equal(await importBlocks(importOf(text), tool), 0);
    assert.deepEqual(await samplesOf(bucket), want);
    const ranges = [...output().matchAll(/\[(.*?), (.*?)\), (\d+) samples, 5 series: uploaded\n/g)];
    assert.deepEqual(
      ranges.map(([, from, , count]) => [Date.parse(from!) - START_MS, Number(count)]),
      [
        [0, 600],
        [2 * HOUR_MS, 600],
        [4 * HOUR_MS, 300],
      ],
    );
    assert.deepEqual(await disk.stat('/data/import'), undefined);
    const issues = [
      'index_known_issues',
      'block_files',
      'block_bytes',
      'overlapped_blocks',
    ] as const;
    assert.equal(await verifyBlocks({ issues, ids: [] }, tool), 0);
    const meta = Buffer.from(bucket.peek(bucket.names.find((n) => n.endsWith('meta.json'))!)!);
    assert.match(meta.toString(), /"cluster": "a"[^]*"source": "bucket.import"/);
  });

  test('a second import finds everything there, also within larger blocks', async () => {
    const { tool, bucket, clock, text: output } = bucketToolInMemory();
    await importBlocks(importOf(text), tool);
    const names = bucket.names;
    await clock.advance(HOUR_MS);
    await importBlocks(importOf(text), tool);
    assert.deepEqual(bucket.names, names);
    assert.equal(output().match(/: is in the bucket already/g)?.length, 3);

    const blocks = names.filter((name) => name.endsWith('meta.json')).map((n) => n.slice(0, 26));
    const merged = newUlid(clock.now(), tool.random);
    const { meta } = await Block.open(await diskOf(bucket), `/${blocks[0]}`);
    const compaction = { ...meta.compaction, level: 2, sources: blocks };
    const mergedMeta = printBlockMeta({ ...meta, ulid: merged, compaction });
    await bucket.upload(`${merged}/meta.json`, Buffer.from(mergedMeta));
    for (const block of blocks) {
      for (const name of names.filter((one) => one.startsWith(block))) await bucket.remove(name);
    }
    await importBlocks(importOf(text), tool);
    assert.equal(
      output().match(new RegExp(`${merged} .*: is in the bucket already`, 'g'))?.length,
      3,
    );
  });

  test('interrupted anywhere and done again, it ends as an undisturbed one', async () => {
    const undisturbed = bucketToolInMemory();
    await importBlocks(importOf(text), undisturbed.tool);
    const sizes = (bucket: MemoryBucket) =>
      bucket.names.map((name) => `${name.slice(10)} ${bucket.peek(name)!.length}`).sort();
    for (let at = 0; ; at += 3) {
      const { tool, bucket, disk, clock } = bucketToolInMemory();
      const fault = new FaultAt(at, at % 2 === 0 ? 'tear' : 'lose-reply', true);
      bucket.faults = disk.faults = fault.plan;
      const isDone = await importBlocks(importOf(text), tool).then(
        () => true,
        () => false,
      );
      bucket.faults = disk.faults = undefined;
      for (const sample of await samplesOf(bucket)) assert.ok(want.has(sample), sample);
      await clock.advance(HOUR_MS);
      await importBlocks(importOf(text), tool);
      assert.deepEqual(await samplesOf(bucket), want, `after operation ${at}`);
      assert.deepEqual(sizes(bucket), sizes(undisturbed.bucket), `after operation ${at}`);
      if (isDone) break;
    }
  });

  test('a dry run reads everything, and uploads nothing', async () => {
    const { tool, bucket, text: output } = bucketToolInMemory();
    await importBlocks(importOf(text, { dryRun: true }), tool);
    assert.deepEqual(bucket.names, []);
    assert.equal(output().match(/: would be uploaded\n/g)?.length, 3);
    const broken = importOf(text.replace('# EOF', 'up 1\n# EOF'), { dryRun: true });
    await assert.rejects(importBlocks(broken, tool), /^BadInputError: x.txt:1501:5: found the end/);
  });

  test('refuses to overlap blocks with the same labels, unless it is allowed to', async () => {
    const { tool, addBlock, bucket, clock, text: output } = bucketToolInMemory();
    const { ulid } = await addBlock({ slot: 1 });
    await addBlock({ slot: 0, labels: { cluster: 'b' } });
    const names = bucket.names;
    await assert.rejects(
      importBlocks(importOf(text), tool),
      new RegExp(`nothing was uploaded: .* for the time of 1 blocks: \\[.*\\) overlaps ${ulid};`),
    );
    assert.deepEqual(bucket.names, names);
    await importBlocks(importOf(text, { dryRun: true }), tool);
    assert.match(output(), new RegExp(`: would overlap ${ulid}\n`));
    await importBlocks(importOf(text, { allowOverlap: true }), tool);
    assert.equal(bucket.names.filter((name) => name.endsWith('meta.json')).length, 5);
    for (const name of bucket.names.filter((one) => one.endsWith('meta.json'))) {
      await markBlock(bucket, name.slice(0, 26), { kind: 'deletion', clock });
    }
    await clock.advance(1000);
    await importBlocks(importOf(text), tool);
    assert.equal(bucket.names.filter((name) => name.endsWith('meta.json')).length, 8);
  });

  test('keeps equal samples once, and refuses two values at one time', async () => {
    for (const maxSamples of [50, 1]) {
      const { tool, bucket } = bucketToolInMemory();
      const twice = importOf('a 1 1\na 2 2\na NaN 3\na 1 1\na NaN 3\n# EOF\n', {}, maxSamples);
      await importBlocks(twice, tool);
      assert.deepEqual(await samplesOf(bucket), new Set(['a 1 1000', 'a 2 2000', 'a NaN 3000']));
    }
    const { tool } = bucketToolInMemory();
    await assert.rejects(
      importBlocks(importOf('a 1 1\na 2 2\na 3 1\n# EOF\n'), tool),
      /x.txt:3:1: found the value 3 for a at 1, expected 1 as in line 1, or another time/,
    );
  });

  test('refuses what would not be what it looks like', async () => {
    const { tool } = bucketToolInMemory();
    await assert.rejects(importBlocks(importOf(text, { labels: Labels.empty }), tool), /--label/);
    await assert.rejects(
      importBlocks(importOf('a 1 1\na{cluster="b"} 1 1\n# EOF\n'), tool),
      /x.txt:2:1: label cluster="b" would be hidden by the external label cluster="a"/,
    );
    await assert.rejects(
      importBlocks(importOf('a 1 1700000000000\n# EOF\n'), tool),
      /x.txt:1:1: found a timestamp of 1700000000000, expected seconds since 1970/,
    );
  });
});

describe('tools bucket import of a Prometheus', () => {
  const from = { kind: 'prometheus', path: '/prometheus', snapshot: undefined } as const;

  async function writeBlock(disk: MemoryDisk, directory: string, slot: number): Promise<string> {
    const builder = new BlockBuilder();
    const samples = builder.samples(Labels.fromObject({ __name__: 'up' }));
    const start = START_MS + slot * 2 * HOUR_MS;
    for (let at = start; at < start + 2 * HOUR_MS; at += 60_000) samples.pushFloat(at, 1);
    const ulid = newUlid(start, seededRandom(slot));
    await builder.write(disk, directory, { ulid });
    return ulid;
  }

  test('imports its blocks and those of a snapshot, each once, and leaves them as they are', async () => {
    const { tool, disk, bucket, text: output } = bucketToolInMemory();
    const first = await writeBlock(disk, '/prometheus', 0);
    await writeBlock(disk, '/prometheus/snapshots/s', 0);
    const second = await writeBlock(disk, '/prometheus/snapshots/s', 1);
    await disk.write('/prometheus/wal/00000000', new Uint8Array(1));
    const before = await disk.read(`/prometheus/${first}/meta.json`);
    await importBlocks(importOf('', { from: { ...from, snapshot: 's' } }), tool);
    assert.deepEqual(
      bucket.names.filter((name) => name.endsWith('meta.json')).map((name) => name.slice(0, 26)),
      [first, second],
    );
    assert.deepEqual(await disk.read(`/prometheus/${first}/meta.json`), before);
    await importBlocks(importOf('', { from }), tool);
    assert.match(output(), new RegExp(`${first} .*: is in the bucket already\n$`));
    const issues = ['index_known_issues', 'block_files', 'block_bytes'] as const;
    assert.equal(await verifyBlocks({ issues, ids: [] }, tool), 0);
  });

  test('refuses blocks with deleted samples, and blocks without external labels', async () => {
    const { tool, disk, bucket } = bucketToolInMemory();
    const ulid = await writeBlock(disk, '/prometheus', 0);
    const none = importOf('', { from, labels: Labels.empty });
    await assert.rejects(importBlocks(none, tool), /--label: expected the external labels/);
    const deleted = writeTombstones(new Map([[1, [{ mint: 0, maxt: 1 }]]]));
    await disk.write(`/prometheus/${ulid}/tombstones`, deleted);
    await assert.rejects(importBlocks(importOf('', { from }), tool), /clean_tombstones/);
    await assert.rejects(
      importBlocks(importOf('', { from: { ...from, path: '/none' } }), tool),
      /--tsdb.path: no directory \/none/,
    );
    assert.deepEqual(bucket.names, []);
  });
});
