import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
import type { UploadOptions } from '#/objstore/bucket.ts';
import { FilesystemBucket } from '#/objstore/filesystem.ts';
import { parseBlockMeta } from '#/tsdb/block-meta.ts';
import { eventually, findProgram, startPrometheus, temporaryDirectory } from './support/servers.ts';
import { startSidecar, untilReady } from './support/sidecar.ts';
import { SAMPLES, writeSamples } from './support/written-samples.ts';

const skip = findProgram('prometheus') === undefined;

describe("a sidecar's upload", { skip, timeout: 120_000 }, () => {
  test('uploads every block that Prometheus cuts, byte for byte', async () => {
    await using directory = await temporaryDirectory();
    const root = join(directory.path, 'bucket');
    await using prometheus = await startCuttingBlocks(directory.path);
    await using sidecar = await startSidecar(prometheus, {
      upload: {
        tsdbPath: join(directory.path, 'data'),
        metaFileName: 'thanos.shipper.json',
        ignoreUnequalBlockSize: false,
        openBucket: async (runtime) => new FilesystemBucket(root, runtime),
        intervalMs: 200,
      },
    });
    await untilReady(sidecar);
    await writeSamples(prometheus, Math.floor(Date.now() / 1000 - SAMPLES) * 1000);
    const blocks = await eventually('twenty blocks', async () => {
      const names = (await readdir(root)).filter(
        (name) => !name.startsWith('.') && existsSync(join(root, name, 'meta.json')),
      );
      return names.length >= 20 ? names : undefined;
    });
    for (const block of blocks.slice(0, 20)) {
      const meta = JSON.parse(await readFile(join(root, block, 'meta.json'), 'utf8')) as {
        maxTime: number;
        minTime: number;
        thanos: { labels: Record<string, string>; source: string };
      };
      assert.deepEqual(meta.thanos.labels, { replica: '0' });
      assert.equal(meta.thanos.source, 'sidecar');
      assert.ok(meta.maxTime - meta.minTime <= 10_000);
      for (const file of ['index', 'chunks/000001']) {
        assert.deepEqual(
          await readFile(join(root, block, file)),
          await readFile(join(directory.path, 'data', block, file)),
        );
      }
    }
  });

  test('refuses to upload from a Prometheus that compacts, and says which flags to set', async () => {
    await using directory = await temporaryDirectory();
    await using prometheus = await startPrometheus({ externalLabels: { replica: '0' } });
    await using sidecar = await startSidecar(prometheus, {
      upload: {
        tsdbPath: directory.path,
        metaFileName: 'thanos.shipper.json',
        ignoreUnequalBlockSize: false,
        openBucket: async (runtime) => new FilesystemBucket(directory.path, runtime),
      },
    });
    const { probe } = sidecar.runtime;
    await eventually('the reason', async () => {
      return probe.reason.includes('max-block-duration') || undefined;
    });
    assert.ok(!probe.isReady);
  });

  test('outlives the deletion of the block and the failure of the bucket', async () => {
    await using directory = await temporaryDirectory();
    const root = join(directory.path, 'bucket');
    const data = join(directory.path, 'data');
    await using prometheus = await startCuttingBlocks(directory.path);
    let victim: string | undefined;
    class Disturbed extends FilesystemBucket {
      override async upload(
        name: string,
        content: Uint8Array | AsyncIterable<Uint8Array>,
        options?: UploadOptions,
      ): Promise<void> {
        if (victim === undefined && name.endsWith('/index')) {
          victim = name.slice(0, 26);
          await rm(join(data, victim), { recursive: true });
          throw new UnavailableError('the bucket is out of reach');
        }
        await super.upload(name, content, options);
      }
    }
    await using sidecar = await startSidecar(prometheus, {
      upload: {
        tsdbPath: data,
        metaFileName: 'thanos.shipper.json',
        ignoreUnequalBlockSize: false,
        openBucket: async (runtime) => new Disturbed(root, runtime),
        intervalMs: 200,
      },
    });
    await untilReady(sidecar);
    await writeSamples(prometheus, Math.floor(Date.now() / 1000 - SAMPLES) * 1000);
    const id = await eventually('the block that is gone', async () => {
      return victim !== undefined && existsSync(join(root, victim, 'meta.json'))
        ? victim
        : undefined;
    });
    const meta = parseBlockMeta(await readFile(join(root, id, 'meta.json'), 'utf8'), id);
    for (const { relPath, sizeBytes } of meta.thanos!.files.slice(0, -1)) {
      assert.equal((await stat(join(root, id, relPath))).size, sizeBytes, relPath);
    }
    assert.ok(!existsSync(join(data, id)));
    await eventually('an end of the links', async () =>
      existsSync(join(data, 'thanos/upload', id)) ? undefined : true,
    );
  });
});

/** A Prometheus that takes samples by remote write and cuts a block of every ten seconds of them. */
function startCuttingBlocks(directory: string) {
  return startPrometheus({
    directory,
    externalLabels: { replica: '0' },
    flags: [
      '--web.enable-remote-write-receiver',
      '--enable-feature=native-histograms,exemplar-storage',
      '--storage.tsdb.min-block-duration=10s',
      '--storage.tsdb.max-block-duration=10s',
    ],
  });
}
