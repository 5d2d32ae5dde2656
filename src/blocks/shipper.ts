import { basename, join } from 'node:path';
import type { Clock } from '#/lib/clock.ts';
import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import { CorruptionError, UnavailableError, messageOf } from '#/lib/errors.ts';
import { Throttle } from '#/lib/throttle.ts';
import { looksLikeUlid } from '#/lib/ulid.ts';
import type { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { META_FILENAME } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { emptyThanosMeta, metaName, readLocalMeta, segmentFiles } from './block-files.ts';
import { readShipperState, writeShipperState } from './shipper-state.ts';
import { OverlapCheck } from './shipper/overlap-check.ts';
import { stageBlock } from './shipper/stage-block.ts';
import { uploadBlock } from './upload-block.ts';
import type { HashFunction } from './upload-block.ts';

export interface ShipperOptions {
  /** The data directory of a TSDB, with its blocks. */
  readonly directory: string;
  readonly bucket: Bucket;
  /** External labels, asked for at every upload; a block must have some. */
  readonly labels: () => Labels;
  /** Who makes the blocks: `sidecar`, `ruler`, `receive`. */
  readonly source: string;
  /** Default `thanos.shipper.json`, in `directory`. With `''` every block is looked up in the bucket. */
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
  /** The most that all uploads together send; 0 for no limit, which is the default. */
  readonly uploadBytesPerSecond?: number;
  /** Told of each block that was looked at, and uploaded if need be, one of `total` in this pass. */
  readonly onBlock?: (id: string, total: number) => void;
}

export interface ShipperEffects {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Uploads the blocks of a local TSDB, oldest first, each once. It may be interrupted at any point:
 * what is whole in the bucket is recognized by its `meta.json`, and of everything else the files that
 * are there already are not sent again.
 * Rules, state file and metrics: pkg/shipper/shipper.go in Thanos.
 */
export class Shipper {
  readonly #options: ShipperOptions;
  readonly #disk: Disk;
  readonly #effects: ShipperEffects;
  readonly #statePath: string;
  readonly #metrics;
  readonly #throttle: Throttle | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ShipperOptions, effects: ShipperEffects) {
    this.#options = { ...options, bucket: withReason(options.bucket, 'upload') };
    this.#effects = effects;
    this.#disk = effects.disk;
    this.#statePath = join(options.directory, options.stateFileName ?? 'thanos.shipper.json');
    this.#metrics = shipperMetrics(effects.metrics);
    const { uploadBytesPerSecond = 0 } = options;
    if (uploadBytesPerSecond > 0)
      this.#throttle = new Throttle(effects.clock, uploadBytesPerSecond);
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
    const { blocks, corrupted } = await this.#localBlocks();
    const broken = corrupted[0];
    if (broken !== undefined) throw broken;
    if (blocks.length === 0) return true;
    const uploaded = new Set(await readShipperState(this.#disk, this.#statePath));
    return blocks.every(({ meta }) => uploaded.has(meta.ulid));
  }

  async #sync(signal: AbortSignal): Promise<number> {
    let finished = false;
    try {
      const { corrupted, failed, uploaded } = await this.#pass(signal);
      finished = true;
      if (failed > 0 || corrupted > 0) {
        this.#metrics.uploadFailures.inc(failed);
        this.#metrics.corruptedBlocks.inc(corrupted);
        throw new UnavailableError(
          `${this.#options.directory}: ${failed} blocks failed to upload and ${corrupted} are corrupted; the log names them`,
        );
      }
      this.#metrics.uploadCompactedDone.set(this.#options.uploadCompacted === true ? 1 : 0);
      return uploaded;
    } finally {
      (finished ? this.#metrics.dirSyncs : this.#metrics.dirSyncFailures).inc();
    }
  }

  async #pass(signal: AbortSignal): Promise<PassResult> {
    const known = await this.#readState();
    const local = await this.#localBlocks();
    const skipCorrupted = this.#options.skipCorruptedBlocks === true;
    if (local.corrupted.length > 0 && !skipCorrupted) throw local.corrupted[0]!;
    const staged = await this.#stagedBlocks();
    const names = new Set(local.blocks.map(({ directory }) => basename(directory)));
    const orphans = staged.filter(({ directory }) => !names.has(basename(directory)));
    const blocks = [...local.blocks, ...orphans].sort((a, b) => a.meta.minTime - b.meta.minTime);
    const overlaps = new OverlapCheck(this.#options.bucket, this.#options.labels);
    const shipped: string[] = [];
    const outcomes = { uploaded: 0, failed: 0, corrupted: local.corrupted.length, gone: 0 };
    for (const block of blocks) {
      const { ulid } = block.meta;
      const state = known.has(ulid) ? 'shipped' : await this.#stateOf(block.meta, overlaps, signal);
      const outcome = state === 'new' ? await this.#tryUpload(block, signal) : undefined;
      if (outcome !== undefined) outcomes[outcome]++;
      this.#options.onBlock?.(ulid, blocks.length);
      if (state === 'ignored' || (state === 'new' && outcome !== 'uploaded')) continue;
      if (outcome === 'uploaded') this.#metrics.uploads.inc();
      const isStaged = state === 'new' || staged.some(({ meta }) => meta.ulid === ulid);
      if (isStaged) await this.#removeStaging(this.#stagingOf(ulid));
      shipped.push(ulid);
    }
    await this.#writeState(shipped);
    return outcomes;
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

  /** Says how it went where the pass may go on; `gone` when the block was deleted meanwhile. */
  async #tryUpload(
    block: LocalBlock,
    signal: AbortSignal,
  ): Promise<'uploaded' | 'failed' | 'corrupted' | 'gone'> {
    const { allowOutOfOrderUploads = false, skipCorruptedBlocks = false } = this.#options;
    const { ulid } = block.meta;
    try {
      await this.#upload(block, signal);
      return 'uploaded';
    } catch (thrown) {
      signal.throwIfAborted();
      const err = messageOf(thrown);
      if (await this.#areGone(block.directory, this.#stagingOf(ulid))) {
        this.#metrics.vanishedBlocks.inc();
        this.#effects.log.warn('block was deleted before it could be uploaded', {
          block: ulid,
          err,
        });
        return 'gone';
      }
      const isCorrupted = thrown instanceof CorruptionError;
      if (!(isCorrupted ? skipCorruptedBlocks : allowOutOfOrderUploads)) {
        throw new UnavailableError(`uploading block ${ulid}: ${err}`, { cause: thrown });
      }
      this.#effects.log.error('shipping failed', { block: ulid, err });
      return isCorrupted ? 'corrupted' : 'failed';
    }
  }

  /**
   * Uploads from a staging directory of hard links, which Prometheus deleting or compacting the
   * block cannot disturb. Where none can be made, as on a disk that is full, the files go up from
   * where they are: nothing of an upload needs room on the disk.
   */
  async #upload({ meta, directory }: LocalBlock, signal: AbortSignal): Promise<void> {
    const { bucket, source, hashFunction, uploadConcurrency } = this.#options;
    const disk = this.#disk;
    this.#effects.log.info('upload new block', { id: meta.ulid });
    const from = await this.#stage(meta.ulid, directory);
    await uploadBlock({
      disk,
      clock: this.#effects.clock,
      bucket,
      directory: from,
      meta: {
        ...meta,
        thanos: {
          ...(meta.thanos ?? emptyThanosMeta),
          labels: { ...meta.thanos?.labels, ...this.#options.labels().toObject() },
          source,
          segmentFiles: await segmentFiles(disk, from),
        },
      },
      ...(hashFunction === undefined ? {} : { hashFunction }),
      ...(uploadConcurrency === undefined ? {} : { concurrency: uploadConcurrency }),
      ...(this.#throttle === undefined ? {} : { throttle: this.#throttle }),
      signal,
    });
  }

  /** Where the block's files may be read from while it is uploaded. */
  async #stage(id: string, directory: string): Promise<string> {
    const staging = this.#stagingOf(id);
    // What a failed upload has left: links that are all there stay, as the block may go any moment.
    if ((await this.#disk.stat(join(staging, META_FILENAME))) !== undefined) return staging;
    let problem: string | undefined = 'stopped half way';
    try {
      problem = await stageBlock(this.#disk, directory, staging);
    } finally {
      if (problem !== undefined) await this.#removeStaging(staging);
    }
    if (problem === undefined) return staging;
    this.#metrics.stagingFailures.inc();
    this.#effects.log.warn('no hard links to a block; it is uploaded from where it is', {
      block: id,
      err: problem,
    });
    return directory;
  }

  #stagingOf(id: string): string {
    return join(this.#options.directory, 'thanos', 'upload', id);
  }

  async #areGone(...paths: readonly string[]): Promise<boolean> {
    for (const path of paths) if ((await this.#disk.stat(path)) !== undefined) return false;
    return true;
  }

  async #removeStaging(directory: string): Promise<void> {
    try {
      await this.#disk.remove(directory);
    } catch (thrown) {
      const err = messageOf(thrown);
      this.#effects.log.error('failed to clean upload directory', { directory, err });
    }
  }

  async #localBlocks(): Promise<{ blocks: LocalBlock[]; corrupted: Error[] }> {
    const blocks: LocalBlock[] = [];
    const corrupted: Error[] = [];
    for (const { name, kind } of await this.#disk.list(this.#options.directory)) {
      if (kind !== 'directory' || !looksLikeUlid(name)) continue;
      const directory = join(this.#options.directory, name);
      try {
        blocks.push({ meta: await readLocalMeta(this.#disk, directory), directory });
      } catch (thrown) {
        if (isMissing(thrown) && (await this.#areGone(directory))) continue;
        const err = messageOf(thrown);
        this.#effects.log.error('corrupted block', { block: directory, err });
        corrupted.push(
          new CorruptionError(
            `${directory}: cannot read the block: ${err}; remove the directory if Prometheus does not use it`,
            { cause: thrown },
          ),
        );
      }
    }
    return { blocks, corrupted };
  }

  /**
   * Blocks of whose files there are links since an upload that has failed; of those that Prometheus
   * has deleted meanwhile they are all that is left. Links that are not complete go.
   */
  async #stagedBlocks(): Promise<LocalBlock[]> {
    const blocks: LocalBlock[] = [];
    for (const name of await this.#stagedNames()) {
      const directory = this.#stagingOf(name);
      try {
        blocks.push({ meta: await readLocalMeta(this.#disk, directory), directory });
      } catch (thrown) {
        if (!isMissing(thrown) && !(thrown instanceof CorruptionError)) throw thrown;
        await this.#removeStaging(directory);
      }
    }
    return blocks;
  }

  async #stagedNames(): Promise<string[]> {
    try {
      const entries = await this.#disk.list(this.#stagingOf(''));
      return entries.map(({ name }) => name);
    } catch (thrown) {
      if (isMissing(thrown)) return [];
      throw thrown;
    }
  }

  /** The file only saves requests, so whatever is wrong with it, the pass starts without. */
  async #readState(): Promise<ReadonlySet<string>> {
    if (this.#options.stateFileName === '') return new Set();
    try {
      return new Set(await readShipperState(this.#disk, this.#statePath));
    } catch (thrown) {
      this.#effects.log.warn('no usable shipper state; every block is looked up in the bucket', {
        err: messageOf(thrown),
      });
      if (thrown instanceof CorruptionError) await this.#keepAside(this.#statePath);
      return new Set();
    }
  }

  /** Whoever wants to know how it came about can still look at it. */
  async #keepAside(path: string): Promise<void> {
    try {
      await this.#disk.rename(path, `${path}.corrupt`);
    } catch (thrown) {
      this.#effects.log.warn('a damaged file cannot be renamed', { path, err: messageOf(thrown) });
    }
  }

  async #writeState(uploaded: readonly string[]): Promise<void> {
    if (this.#options.stateFileName === '') return;
    try {
      await writeShipperState(this.#disk, this.#statePath, uploaded);
    } catch (thrown) {
      this.#effects.log.warn('writing the shipper state failed', { err: messageOf(thrown) });
    }
  }
}

interface LocalBlock {
  readonly meta: BlockMeta;
  readonly directory: string;
}

/** Blocks by what became of them. */
interface PassResult {
  readonly uploaded: number;
  readonly failed: number;
  readonly corrupted: number;
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
    vanishedBlocks: metrics.counter({
      name: 'hindsight_shipper_vanished_blocks_total',
      help: 'Blocks that were deleted locally before they could be uploaded.',
    }),
    stagingFailures: metrics.counter({
      name: 'hindsight_shipper_staging_failures_total',
      help: 'Blocks that were uploaded from where they are, since no hard links could be made.',
    }),
    uploadCompactedDone: metrics.gauge({
      name: 'thanos_shipper_upload_compacted_done',
      help: 'If 1 it means shipper uploaded all compacted blocks from the filesystem.',
    }),
  };
}
