import { join } from 'node:path';
import { downloadBlock, emptyThanosMeta } from '#/blocks/block-files.ts';
import { markBlock } from '#/blocks/markers.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import type { HashFunction } from '#/blocks/upload-block.ts';
import { completeBlock } from '#/compact/complete-block.ts';
import { rewriteBlock } from '#/compact/rewrite-block.ts';
import type { ChangeLog, RewriteResult } from '#/compact/rewrite-block.ts';
import { copyMarks, successorIdentity } from '#/compact/rewrite-job.ts';
import type { Disk } from '#/lib/disk.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { RelabelConfig } from '#/model/relabel.ts';
import { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { rewriteEntry, successorId } from '#/tsdb/block-rewrites.ts';
import type { BlockIdentity } from '#/tsdb/block-writer.ts';
import { compileDeletion, deletionWithin, plainDeletion } from '#/tsdb/series-deletion.ts';
import type { PlainDeletion } from '#/tsdb/series-deletion.ts';
import type { BucketTool } from './bucket-tool.ts';

export interface RewriteConfig {
  readonly ids: readonly string[];
  readonly temporaryDirectory: string;
  /** Only tell what would change. */
  readonly dryRun: boolean;
  /** Blocks of plain Prometheus, which have no external labels. */
  readonly promBlocks: boolean;
  /** The new blocks take the place of the old ones, which are marked for deletion. */
  readonly deleteBlocks: boolean;
  readonly hashFunction: HashFunction;
  /** Of the blocks' own labels, after the relabeling. A series without a label of a matcher stays. */
  readonly deletions: readonly PlainDeletion[];
  readonly relabeling: readonly RelabelConfig[];
  /** Write what changes into `change.log` beside the new block's files. */
  readonly addChangeLog: boolean;
}

/**
 * Rewrites blocks one after the other. Without `deleteBlocks` a new block stands beside the old one and
 * is its own source, as Thanos has it; with it, it is the old one's successor from the moment it is there.
 * Blocks that nothing would change in are left alone.
 */
export async function rewriteBlocks(config: RewriteConfig, tool: BucketTool): Promise<number> {
  const what = config.dryRun ? 'blocks looked at' : 'blocks rewritten';
  const progress = tool.progress(what, config.ids.length);
  for (const id of config.ids) {
    const kind = await rewriteOne(id, config, tool);
    progress.step(id, { kind });
  }
  progress.end();
  tool.log.info(config.dryRun ? 'dry run finished' : 'rewrite done', { IDs: config.ids.join(',') });
  return 0;
}

async function rewriteOne(
  id: string,
  config: RewriteConfig,
  tool: BucketTool,
): Promise<RewriteResult['kind']> {
  const { bucket, disk, clock, random, log, signal } = tool;
  const directory = config.temporaryDirectory;
  const input = join(directory, id);
  const ulid = config.deleteBlocks ? successorId(id, random) : newUlid(clock.now(), random);
  await disk.remove(input);
  log.info('downloading block', { source: id });
  await downloadBlock({ disk, bucket, id, directory: input, signal });
  const block = await Block.open(disk, input, signal);
  const changes = new ChangeLines(disk, join(directory, `${ulid}.change.log`), config, tool.write);
  log.info('starting rewrite for block', { source: id, new: ulid });
  const result = await rewriteBlock({
    block,
    edits: editsOf(config, block.meta),
    identity: config.dryRun ? undefined : identityOf(ulid, block.meta, config),
    disk,
    directory,
    changes,
    signal,
  });
  await changes.moveInto(join(directory, ulid));
  await finish(result, { block, ulid }, config, tool);
  await disk.remove(input);
  return result.kind;
}

/** Uploads what was made, and lets the old block go if that is wanted. */
async function finish(
  { kind, seriesDropped, samplesDropped }: RewriteResult,
  { block, ulid }: { readonly block: Block; readonly ulid: string },
  config: RewriteConfig,
  { bucket, disk, clock, log, signal }: BucketTool,
): Promise<void> {
  const id = block.meta.ulid;
  const counts = { series: seriesDropped, samples: samplesDropped };
  if (config.dryRun) {
    log.info('nothing was written: --dry-run', { source: id, kind, ...counts });
    return;
  }
  if (kind === 'unchanged') {
    log.info('block has nothing to change, and stays', { source: id });
    return;
  }
  if (kind === 'rewritten') {
    const directory = join(config.temporaryDirectory, ulid);
    await completeBlock(disk, directory, [block.meta], signal);
    if (config.deleteBlocks) await copyMarks(id, ulid, { bucket, clock }, signal);
    log.info('uploading new block', { source: id, new: ulid });
    const { promBlocks, hashFunction } = config;
    const allowWithoutLabels = promBlocks;
    await uploadBlock({ disk, clock, bucket, directory, hashFunction, allowWithoutLabels, signal });
    log.info('uploaded', { source: id, new: ulid, ...counts });
  } else if (!config.deleteBlocks) {
    log.warn('nothing would be left of the block; mark it for deletion, or give --delete-blocks', {
      source: id,
    });
  }
  if (!config.deleteBlocks) return;
  await markBlock(bucket, id, { kind: 'deletion', details: 'block rewritten', clock, signal });
}

function editsOf({ relabeling, deletions }: RewriteConfig, { thanos }: BlockMeta) {
  return {
    relabeling,
    deletions: deletions
      .map(asThanosMatches)
      .map((one) =>
        deletionWithin(compileDeletion(one), Labels.empty, thanos?.downsample.resolution),
      )
      .filter((one) => one !== undefined)
      .map(plainDeletion),
  };
}

/** Thanos deletes no series that lacks one of the labels, whatever the matcher takes. */
function asThanosMatches(deletion: PlainDeletion): PlainDeletion {
  const present = deletion.matchers.map(({ name }) => newMatcher('!=', name, ''));
  return { ...deletion, matchers: [...deletion.matchers, ...present] };
}

function identityOf(ulid: string, old: BlockMeta, config: RewriteConfig): BlockIdentity {
  const { thanos = emptyThanosMeta, compaction } = old;
  const entry = rewriteEntry(old, config.deletions, config.relabeling);
  const successor = successorIdentity(ulid, { ...old, thanos }, entry);
  return {
    ...successor,
    compaction: config.deleteBlocks ? successor.compaction : { ...compaction, sources: [ulid] },
    thanos: { ...successor.thanos!, source: 'bucket.rewrite' },
  };
}

const LOG_PIECE = 64 * 1024;

/** The lines of Thanos's change log: in a file, and in a dry run on the output too. */
class ChangeLines implements ChangeLog {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #toFile: boolean;
  readonly #print: ((text: string) => void) | undefined;
  #piece = '';
  #written = Promise.resolve();
  #isEmpty = true;

  constructor(
    disk: Disk,
    path: string,
    { addChangeLog, dryRun }: RewriteConfig,
    print: (text: string) => void,
  ) {
    this.#disk = disk;
    this.#path = path;
    this.#toFile = addChangeLog;
    this.#print = dryRun ? print : undefined;
  }

  deleted(labels: Labels, ranges: readonly { readonly mint: number; readonly maxt: number }[]) {
    const texts = ranges.map(({ mint, maxt }) => `{${mint} ${maxt}}`);
    this.#line(`Deleted ${labels.toString()} [${texts.join(' ')}]\n`);
  }

  relabeled(from: Labels, to: Labels) {
    this.#line(`Relabelled ${from.toString()} ${to.toString()}\n`);
  }

  /** Ends the file, which gets its place beside the files of the new block. */
  async moveInto(directory: string): Promise<void> {
    if (!this.#toFile) return;
    this.#flush();
    await this.#written;
    if (this.#isEmpty) return;
    await this.#disk.makeDirectory(directory);
    await this.#disk.rename(this.#path, join(directory, 'change.log'));
  }

  #line(text: string): void {
    this.#print?.(text);
    if (!this.#toFile) return;
    this.#piece += text;
    if (this.#piece.length >= LOG_PIECE) this.#flush();
  }

  #flush(): void {
    if (this.#piece === '') return;
    const bytes = new TextEncoder().encode(this.#piece);
    this.#piece = '';
    this.#isEmpty = false;
    this.#written = this.#written.then(() => this.#disk.append(this.#path, bytes));
    // Whoever ends the file hears of it.
    this.#written.catch(() => undefined);
  }
}
