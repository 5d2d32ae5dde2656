/**
 * How fast a bucket that is a directory is compacted and downsampled: samples a second of the
 * processor, and the peak of memory, of whole processes from their start to their end. Two servers
 * of so many series each, two days at 15 s in blocks of two hours, are merged twice, to 8 hours and
 * to two days: as two clusters, whose blocks lie in a row, and as two replicas, deduplicated by
 * penalty. The clusters' blocks are then downsampled to 5 minutes.
 * `HINDSIGHT_COMPACTOR` names another compactor with the same flags, to be set beside it.
 * Run: `npx node bench/compact.ts [series] [rounds]`, 1,000 of them and 3 unless given.
 */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { writeBucket } from './compact/data-set.ts';
import { measuredProcess } from './compact/measured-process.ts';
import type { Effort } from './compact/measured-process.ts';

const SERIES = Number(process.argv[2] ?? 1000);
const ROUNDS = Number(process.argv[3] ?? 3);
const compactors = [
  { name: 'hindsight', command: resolve(import.meta.dirname, '../bin/hindsight') },
];
const other = process.env['HINDSIGHT_COMPACTOR'];
if (other !== undefined) compactors.push({ name: 'other', command: other });

const NO_DOWNSAMPLING = '--downsampling.disable';
const PENALTY = ['--deduplication.replica-label=replica', '--deduplication.func=penalty'];

const root = await mkdtemp(join(tmpdir(), 'hindsight-bench-'));
try {
  const clusters = { series: SERIES, servers: [{ cluster: 'a' }, { cluster: 'b' }] };
  const replicas = { series: SERIES, servers: ['0', '1'].map((replica) => ({ replica, a: 'b' })) };
  const inRow = await writeBucket(join(root, 'clusters'), clusters);
  const twice = await writeBucket(join(root, 'replicas'), replicas);
  const merged = join(root, 'merged');
  await compact(compactors[0]!.command, join(root, 'clusters'), merged, [NO_DOWNSAMPLING]);
  await report('merge of blocks in a row', inRow, join(root, 'clusters'), [NO_DOWNSAMPLING]);
  await report('merge of replicas', twice, join(root, 'replicas'), [NO_DOWNSAMPLING, ...PENALTY]);
  await report('downsampling to 5 minutes', inRow, merged, []);
} finally {
  await rm(root, { recursive: true, force: true });
}

/** Prints the best of the rounds for each compactor: what disturbs a run only makes it worse. */
async function report(
  what: string,
  samples: number,
  from: string,
  flags: readonly string[],
): Promise<void> {
  const efforts = new Map<string, Effort[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, command } of compactors) {
      const to = join(root, name);
      const effort = await compact(command, from, to, flags);
      efforts.set(name, [...(efforts.get(name) ?? []), effort]);
      await rm(to, { recursive: true });
    }
  }
  for (const [name, all] of efforts) {
    const seconds = Math.min(...all.map((effort) => effort.seconds));
    const peakBytes = Math.min(...all.map((effort) => effort.peakBytes));
    const perSecond = samples / seconds / 1e6;
    process.stdout.write(
      `${what.padEnd(26)} ${name.padEnd(10)} ${seconds.toFixed(2).padStart(6)} s of the processor ` +
        `${perSecond.toFixed(1).padStart(6)} M samples/s ${(peakBytes / 1e6).toFixed(0).padStart(5)} MB\n`,
    );
  }
}

/** Compacts a copy of the bucket in `from`, which stays in `to`. */
async function compact(
  command: string,
  from: string,
  to: string,
  flags: readonly string[],
): Promise<Effort> {
  const bucket = join(to, 'bucket');
  await cp(join(from, 'bucket'), bucket, { recursive: true });
  const config = join(to, 'bucket.yml');
  await writeFile(config, `type: FILESYSTEM\nconfig:\n  directory: ${bucket}\n`);
  return measuredProcess(command, [
    'compact',
    `--data-dir=${join(to, 'data')}`,
    `--objstore.config-file=${config}`,
    '--http-address=127.0.0.1:0',
    '--consistency-delay=0s',
    ...flags,
  ]);
}
