import { join } from 'node:path';
import type { Clock } from '#/lib/clock.ts';
import type { Disk } from '#/lib/disk.ts';
import { CorruptionError, UnavailableError, messageOf } from '#/lib/errors.ts';
import { looksLikeUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import {
  CHUNKS_DIRNAME,
  INDEX_FILENAME,
  META_FILENAME,
  parseBlockMeta,
} from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import {
  blockIdOf,
  emptyThanosMeta,
  metaName,
  readLocalMeta,
  segmentFiles,
  uploadBlock,
  writeLocalMeta,
} from './block-files.ts';
import type { HashFunction } from './block-files.ts';
import { readShipperState, writeShipperState } from './shipper-state.ts';

export interface ShipperOptions {
  /** The data directory of a TSDB, with its blocks. */
  readonly directory: string;
  readonly bucket: Bucket;
  /** External labels, asked for at every upload; a block must have some. */
  readonly labels: () => Labels;
  /** Who makes the blocks: `sidecar`, `ruler`, `receive`. */
  readonly source: string;
  /** Default `thanos.shipper.json`, in `directory`. */
  readonly stateFileName?: string;
  /** Also blocks that were compacted locally. Default false. */
  readonly uploadCompacted?: boolean;
  /** Go on after a failed upload, and never look for overlaps. Default false. */
  readonly allowOutOfOrderUploads?: boolean;
  /** Go on past blocks whose `meta.json` cannot be read. Default false. */
  readonly skipCorruptedBlocks?: boolean;
  readonly hashFunction?: HashFunction;
  /** How many segment files of a block go up at once. Default 1. */
  readonly uploadConcurrency?: number;
}

export interface ShipperEffects {
  readonly disk: Disk;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Uploads the blocks of a local TSDB, oldest first, each once. It may be interrupted at any point:
 * what is whole in the bucket is recognized by its `meta.json`, everything else is uploaded again.
 * Rules, state file and metrics: pkg/shipper/shipper.go in Thanos.
 */
export class Shipper {
  readonly #options: ShipperOptions;
  readonly #disk: Disk;
  readonly #effects: ShipperEffects;
  readonly #statePath: string;
  readonly #metrics;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ShipperOptions, effects: ShipperEffects) {
    this.#options = { ...options, bucket: withReason(options.bucket, 'upload') };
    this.#effects = effects;
    this.#disk = effects.disk;
    this.#statePath = join(options.directory, options.stateFileName ?? 'thanos.shipper.json');
    this.#metrics = shipperMetrics(effects.metrics);
  }

  /**
   * One pass over the local blocks; returns how many it uploaded. Passes never overlap.
   * @throws CorruptionError for a block that cannot be read, UnavailableError for an upload that
   * failed or would overlap. What was uploaded before stays so.
   */
  sync(signal: AbortSignal): Promise<number> {
    const pass = this.#turn.then(() => this.#sync(signal));
    this.#turn = pass.catch(() => undefined);
    return pass;
  }

  /** The blocks that the last finished pass knew to be in the bucket. */
  async uploadedBlocks(): Promise<ReadonlySet<string>> {
    try {
      return new Set(await readShipperState(this.#disk, this.#statePath));
    } catch {
      return new Set();
    }
  }

  /** Whether every local block is in the state file. @throws if a block or the file is unreadable. */
  async allBlocksUploaded(): Promise<boolean> {
    const { metas, corrupted } = await this.#localBlocks();
    const broken = corrupted[0];
    if (broken !== undefined) throw broken;
    if (metas.length === 0) return true;
    const uploaded = new Set(await readShipperState(this.#disk, this.#statePath));
    return metas.every(({ ulid }) => uploaded.has(ulid));
  }

  async #sync(signal: AbortSignal): Promise<number> {
    let finished = false;
    try {
      const { corrupted, failed, count } = await this.#pass(signal);
      finished = true;
      if (failed > 0 || corrupted > 0) {
        this.#metrics.uploadFailures.inc(failed);
        this.#metrics.corruptedBlocks.inc(corrupted);
        throw new UnavailableError(
          `${this.#options.directory}: ${failed} blocks failed to upload and ${corrupted} are corrupted; the log names them`,
        );
      }
      this.#metrics.uploadCompactedDone.set(this.#options.uploadCompacted === true ? 1 : 0);
      return count;
    } finally {
      (finished ? this.#metrics.dirSyncs : this.#metrics.dirSyncFailures).inc();
    }
  }

  async #pass(signal: AbortSignal): Promise<PassResult> {
    // A process that died right after its upload leaves links that keep deleted blocks' disk space.
    await this.#removeStaging(join(this.#options.directory, 'thanos', 'upload'));
    const known = await this.#readState();
    const { metas, corrupted } = await this.#localBlocks();
    if (corrupted.length > 0 && this.#options.skipCorruptedBlocks !== true) throw corrupted[0]!;
    const overlaps = new OverlapCheck(this.#options.bucket, this.#options.labels);
    const shipped: string[] = [];
    let failed = 0;
    let count = 0;
    for (const meta of metas) {
      const state = known.has(meta.ulid) ? 'shipped' : await this.#stateOf(meta, overlaps, signal);
      if (state === 'ignored') continue;
      if (state === 'new') {
        if (!(await this.#tryUpload(meta, signal))) {
          failed++;
          continue;
        }
        count++;
        this.#metrics.uploads.inc();
      }
      shipped.push(meta.ulid);
    }
    await this.#writeState(shipped);
    return { corrupted: corrupted.length, failed, count };
  }

  async #stateOf(
    meta: BlockMeta,
    overlaps: OverlapCheck,
    signal: AbortSignal,
  ): Promise<'ignored' | 'shipped' | 'new'> {
    const { bucket, uploadCompacted = false, allowOutOfOrderUploads = false } = this.#options;
    const compacted = meta.compaction.level > 1;
    if (meta.stats.numSamples === 0 || (compacted && !uploadCompacted)) return 'ignored';
    if ((await bucket.attributes(metaName(meta.ulid), { signal })) !== undefined) return 'shipped';
    if (compacted && !allowOutOfOrderUploads) await overlaps.check(meta, signal);
    return 'new';
  }

  /** `false` for a failure that does not end the pass. */
  async #tryUpload(meta: BlockMeta, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#upload(meta, signal);
      return true;
    } catch (thrown) {
      signal.throwIfAborted();
      const err = messageOf(thrown);
      if (this.#options.allowOutOfOrderUploads !== true) {
        throw new UnavailableError(`uploading block ${meta.ulid}: ${err}`, { cause: thrown });
      }
      this.#effects.log.error('shipping failed', { block: meta.ulid, err });
      return false;
    }
  }

  /**
   * Uploads from a staging directory of hard links, which Prometheus deleting or compacting the
   * block cannot disturb. The links share their bytes with the block: nothing is written in place.
   */
  async #upload(meta: BlockMeta, signal: AbortSignal): Promise<void> {
    const { directory, bucket, source, hashFunction, uploadConcurrency } = this.#options;
    this.#effects.log.info('upload new block', { id: meta.ulid });
    const staging = join(directory, 'thanos', 'upload', meta.ulid);
    try {
      await this.#linkBlock(join(directory, meta.ulid), staging);
      await writeLocalMeta(this.#disk, staging, {
        ...meta,
        thanos: {
          ...(meta.thanos ?? emptyThanosMeta),
          labels: { ...meta.thanos?.labels, ...this.#options.labels().toObject() },
          source,
          segmentFiles: await segmentFiles(this.#disk, staging),
        },
      });
      await uploadBlock({
        disk: this.#disk,
        clock: this.#effects.clock,
        bucket,
        directory: staging,
        ...(hashFunction === undefined ? {} : { hashFunction }),
        ...(uploadConcurrency === undefined ? {} : { concurrency: uploadConcurrency }),
        signal,
      });
    } finally {
      await this.#removeStaging(staging);
    }
  }

  async #removeStaging(directory: string): Promise<void> {
    try {
      await this.#disk.remove(directory);
    } catch (thrown) {
      const err = messageOf(thrown);
      this.#effects.log.error('failed to clean upload directory', { directory, err });
    }
  }

  async #linkBlock(block: string, staging: string): Promise<void> {
    await this.#disk.makeDirectory(join(staging, CHUNKS_DIRNAME));
    const segments = (await segmentFiles(this.#disk, block)).map((name) =>
      join(CHUNKS_DIRNAME, name),
    );
    for (const file of [...segments, META_FILENAME, INDEX_FILENAME]) {
      await this.#disk.link(join(block, file), join(staging, file));
    }
  }

  /** Oldest first. */
  async #localBlocks(): Promise<{ metas: BlockMeta[]; corrupted: Error[] }> {
    const { directory } = this.#options;
    const metas: BlockMeta[] = [];
    const corrupted: Error[] = [];
    for (const { name, kind } of await this.#disk.list(directory)) {
      if (kind !== 'directory' || !looksLikeUlid(name)) continue;
      try {
        metas.push(await readLocalMeta(this.#disk, join(directory, name)));
      } catch (thrown) {
        const block = join(directory, name);
        const err = messageOf(thrown);
        this.#effects.log.error('corrupted block', { block, err });
        corrupted.push(
          new CorruptionError(
            `${block}: cannot read the block: ${err}; remove the directory if Prometheus does not use it`,
            { cause: thrown },
          ),
        );
      }
    }
    metas.sort((a, b) => a.minTime - b.minTime);
    return { metas, corrupted };
  }

  /** The file only saves requests, so whatever is wrong with it, the pass starts without. */
  async #readState(): Promise<ReadonlySet<string>> {
    try {
      return new Set(await readShipperState(this.#disk, this.#statePath));
    } catch (thrown) {
      this.#effects.log.warn('no usable shipper state; every block is looked up in the bucket', {
        err: messageOf(thrown),
      });
      return new Set();
    }
  }

  async #writeState(uploaded: readonly string[]): Promise<void> {
    try {
      await writeShipperState(this.#disk, this.#statePath, uploaded);
    } catch (thrown) {
      this.#effects.log.warn('writing the shipper state failed', { err: messageOf(thrown) });
    }
  }
}

interface PassResult {
  readonly corrupted: number;
  readonly failed: number;
  readonly count: number;
}

/** Compares with the blocks of the bucket that have our labels; reads the bucket once a pass. */
class OverlapCheck {
  readonly #bucket: Bucket;
  readonly #labels: () => Labels;
  #existing: readonly BlockMeta[] | undefined;

  constructor(bucket: Bucket, labels: () => Labels) {
    this.#bucket = bucket;
    this.#labels = labels;
  }

  /** As in Thanos any overlap counts, also one among the blocks that are there already. */
  async check(meta: BlockMeta, signal: AbortSignal): Promise<void> {
    this.#existing ??= await this.#load(signal);
    const all = [meta, ...this.#existing].sort((a, b) => a.minTime - b.minTime);
    let reaching = all[0]!;
    for (const next of all.slice(1)) {
      if (next.minTime < reaching.maxTime) {
        throw new UnavailableError(
          `compacted block ${meta.ulid} is not uploaded: in the bucket's blocks with the same labels ` +
            `${describe(reaching)} and ${describe(next)} overlap; delete one of them`,
        );
      }
      if (next.maxTime > reaching.maxTime) reaching = next;
    }
  }

  async #load(signal: AbortSignal): Promise<BlockMeta[]> {
    const labels = this.#labels();
    const found: BlockMeta[] = [];
    for await (const { name } of this.#bucket.list('', { signal })) {
      const id = blockIdOf(name);
      if (id === undefined) continue;
      const text = new TextDecoder().decode(await this.#bucket.read(metaName(id), { signal }));
      const meta = parseBlockMeta(text, `${this.#bucket.name}/${metaName(id)}`);
      if (Labels.fromObject(meta.thanos?.labels ?? {}).equals(labels)) found.push(meta);
    }
    return found;
  }
}

function describe({ ulid, minTime, maxTime }: BlockMeta): string {
  return `${ulid} [${new Date(minTime).toISOString()}, ${new Date(maxTime).toISOString()})`;
}

function shipperMetrics(metrics: Metrics) {
  const counter = (name: string, help: string) =>
    metrics.counter({ name: `thanos_shipper_${name}`, help });
  return {
    dirSyncs: counter('dir_syncs_total', 'Total number of dir syncs'),
    dirSyncFailures: counter('dir_sync_failures_total', 'Total number of failed dir syncs'),
    uploads: counter('uploads_total', 'Total number of uploaded blocks'),
    uploadFailures: counter('upload_failures_total', 'Total number of block upload failures'),
    corruptedBlocks: counter('corrupted_blocks_total', 'Total number of corrupted blocks'),
    uploadCompactedDone: metrics.gauge({
      name: 'thanos_shipper_upload_compacted_done',
      help: 'If 1 it means shipper uploaded all compacted blocks from the filesystem.',
    }),
  };
}
