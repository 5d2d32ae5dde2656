import { checkBytes, checkFiles, checkIndex } from '#/blocks/check-block.ts';
import { MarkFilter } from '#/blocks/filters.ts';
import { findDuplicates, findOverlaps } from '#/blocks/overlaps.ts';
import { Labels } from '#/model/labels.ts';
import { formatGoDuration } from '#/model/time.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { Repairs } from './bucket-repair.ts';
import type { RepairOptions } from './bucket-repair.ts';
import { FETCH_CONCURRENCY, fetchBlocks } from './bucket-tool.ts';
import type { BucketTool } from './bucket-tool.ts';

type CheckBlock = (bucket: Bucket, meta: BlockMeta, signal: AbortSignal) => Promise<string[]>;

/** What is looked for in each block alone; the first is Thanos's. */
const blockChecks = {
  index_known_issues: checkIndex,
  block_files: checkFiles,
  block_bytes: checkBytes,
} satisfies Record<string, CheckBlock>;

/** What is looked for among all blocks; both are Thanos's. */
const bucketChecks = {
  overlapped_blocks: overlapIssues,
  duplicated_compaction: duplicateIssues,
} satisfies Record<string, (metas: readonly BlockMeta[]) => Issue[]>;

export type IssueKind = keyof typeof blockChecks | keyof typeof bucketChecks;
export const issueKinds = [
  ...Object.keys(blockChecks),
  ...Object.keys(bucketChecks),
] as readonly IssueKind[];

interface Issue {
  /** Those that it is about, the first of which names it. */
  readonly blocks: readonly string[];
  readonly message: string;
}

export interface VerifyConfig {
  readonly issues: readonly IssueKind[];
  /** Only issues of these blocks; of all when there are none. */
  readonly ids: readonly string[];
  /** Repair what can be repaired: `index_known_issues` and `duplicated_compaction`. */
  readonly repair?: Omit<RepairOptions, 'backup'> & {
    /** Where blocks are copied to before they go; it is closed in the end. */
    readonly openBackup: (tool: BucketTool) => Promise<Bucket>;
  };
}

/**
 * Looks for what is wrong with the bucket's blocks, those marked for deletion left out, and writes a
 * line for each issue: ULID, kind and text. Without `repair` it changes nothing; with it there is a line
 * for each repair, too. Gives 1 when there is any issue that was not repaired.
 */
export async function verifyBlocks(config: VerifyConfig, tool: BucketTool): Promise<number> {
  await using open = new AsyncDisposableStack();
  const { bucket, clock, log, signal } = tool;
  const repairs = await openRepairs(config, open, tool);
  const concurrency = FETCH_CONCURRENCY;
  const filters = [MarkFilter.deletion({ bucket, concurrency, log, delayMs: 0, clock })];
  const { metas, partial } = await fetchBlocks(tool, filters, signal);
  const isAsked = (id: string) => config.ids.length === 0 || config.ids.includes(id);
  const asked = metas.filter(({ ulid }) => isAsked(ulid));
  const absent = config.ids.filter((id) => !asked.some(({ ulid }) => ulid === id));
  let issues = 0;
  const report = (kind: string, { blocks, message }: Issue) => {
    if (!blocks.some(isAsked)) return;
    issues++;
    log.warn('detected issue', { id: blocks[0], verifier: kind, err: message });
    tool.write(`${blocks[0]} ${kind}: ${message}\n`);
  };
  for (const id of absent) {
    report('block_files', { blocks: [id], message: (partial.get(id) ?? noBlock).message });
  }
  for (const kind of config.issues) {
    if (!Object.hasOwn(bucketChecks, kind)) continue;
    for (const issue of bucketChecks[kind as keyof typeof bucketChecks](metas)) report(kind, issue);
  }
  if (config.issues.includes('duplicated_compaction')) {
    await repairs?.duplicates(metas, isAsked);
  }
  const progress = tool.progress('verifying', asked.length);
  for (const meta of asked) {
    for (const kind of config.issues) {
      if (!Object.hasOwn(blockChecks, kind) || repairs?.removed.has(meta.ulid) === true) continue;
      const check = blockChecks[kind as keyof typeof blockChecks];
      const messages = await check(bucket, meta, signal);
      for (const message of messages) report(kind, { blocks: [meta.ulid], message });
      if (kind === 'index_known_issues' && messages.length > 0) {
        await repairs?.index(meta, messages.length);
      }
    }
    progress.step(meta.ulid);
  }
  progress.end();
  const repaired = repairs === undefined ? '' : `, ${repairs.count} of them repaired`;
  tool.write(`${asked.length} blocks verified, ${issues} issues${repaired}\n`);
  return issues === (repairs?.count ?? 0) ? 0 : 1;
}

async function openRepairs(
  { repair }: VerifyConfig,
  open: AsyncDisposableStack,
  tool: BucketTool,
): Promise<Repairs | undefined> {
  if (repair === undefined) return undefined;
  const backup = open.use(await repair.openBackup(tool));
  tool.log.warn('no compactor should work on the bucket during a repair');
  return new Repairs({ ...repair, backup: withReason(backup, 'tools') }, tool);
}

const noBlock = new Error('there is no such block, or it is marked for deletion');

function overlapIssues(metas: readonly BlockMeta[]): Issue[] {
  return findOverlaps(metas).map(({ mint, maxt, blocks }) => ({
    blocks: blocks.map(({ ulid }) => ulid),
    message:
      `found overlapped blocks of group ${groupText(blocks[0]!)}: [mint: ${mint}, maxt: ${maxt}, ` +
      `range: ${rangeText({ minTime: mint, maxTime: maxt })}, blocks: ${blocks.length}]: ${describe(blocks)}`,
  }));
}

function duplicateIssues(metas: readonly BlockMeta[]): Issue[] {
  return findDuplicates(metas).map(([kept, ...others]) => ({
    blocks: others.map(({ ulid }) => ulid),
    message: `found duplicated blocks of ${kept!.ulid} that are ok to be removed: ${describe(others)}`,
  }));
}

/** `0@{cluster="a"}`: the resolution and the external labels. */
function groupText({ thanos }: BlockMeta): string {
  const labels = Labels.fromObject(thanos?.labels ?? {});
  return `${thanos?.downsample.resolution ?? 0}@${labels.toString()}`;
}

/** As Prometheus and Thanos print a list of blocks. */
function describe(blocks: readonly BlockMeta[]): string {
  return blocks
    .map((meta) => {
      const { ulid, minTime, maxTime } = meta;
      return `<ulid: ${ulid}, mint: ${minTime}, maxt: ${maxTime}, range: ${rangeText(meta)}>`;
    })
    .join(', ');
}

function rangeText({ minTime, maxTime }: Pick<BlockMeta, 'minTime' | 'maxTime'>): string {
  return formatGoDuration(Math.trunc((maxTime - minTime) / 1000) * 1000);
}
