import { join } from 'node:path';
import { openBlockIndex } from '#/blocks/check-block.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { messageOf } from '#/lib/errors.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { compileDeletion } from '#/tsdb/series-deletion.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockRewriter } from './block-rewriter.ts';
import { markForDeletion } from './compaction-job.ts';
import type { JobContext } from './job-context.ts';
import { KnownAbsences } from './known-absences.ts';
import { MatchingSeries } from './matching-series.ts';
import type { PassResult } from './pass-result.ts';
import { blockBytes } from './progress.ts';
import type { DueRewrite } from './retention-plan.ts';
import type { SeriesClass } from './retention-rules.ts';
import type { RewriteJob } from './rewrite-job.ts';

/** What goes of a block by rules of retention, as far as its index tells. */
export interface RetentionLook {
  readonly block: BlockMeta;
  /** Classes that are past their retention and of which the block has series, with how many. */
  readonly present: readonly { readonly of: SeriesClass; readonly series: number }[];
  /** Classes that are past their retention, whether the block has any. */
  readonly due: readonly SeriesClass[];
  readonly seriesGone: number;
  readonly seriesTotal: number;
  /** Estimates: the share of the series that go. */
  readonly samplesGone: number;
  readonly bytesGone: number;
}

export async function lookAtIndex(
  { block, classes }: DueRewrite,
  bucket: Bucket,
  signal: AbortSignal,
): Promise<RetentionLook> {
  const matching = new MatchingSeries(await openBlockIndex(bucket, block.ulid, signal));
  const seriesTotal = await matching.total(signal);
  const present = [];
  for (const one of classes) {
    const series = (await matching.of(one.deletions.map(compileDeletion), signal)).length;
    if (series > 0) present.push({ of: one, series });
  }
  const seriesGone = present.reduce((sum, { series }) => sum + series, 0);
  const share = seriesTotal === 0 ? 0 : seriesGone / seriesTotal;
  return {
    block,
    present,
    due: classes,
    seriesGone,
    seriesTotal,
    samplesGone: Math.round(share * block.stats.numSamples),
    bytesGone: Math.round(share * blockBytes(block)),
  };
}

/** Says of a look what would happen to the block, for people. */
export function describeLook(look: RetentionLook): string {
  const { block, present, seriesGone, seriesTotal, samplesGone, bytesGone } = look;
  const what = present.map(({ of, series }) => `${series} of ${of.name}`).join(', ');
  const done =
    seriesGone === seriesTotal ? 'be marked for deletion, without' : 'be rewritten without';
  return (
    `${block.ulid} would ${done} ${seriesGone} of ${seriesTotal} series past their retention ` +
    `(about ${samplesGone} samples, ${bytesGone} bytes): ${what}`
  );
}

/** Why a block goes with all of its series. */
export const ALL_SERIES_EXPIRED = 'all series of the block exceed their retention';

const ABSENCES_FILENAME = 'retention-absences.json';

/** The part of retention that rewrites blocks of which some series are past their time. */
export class RuleRetention {
  readonly #rewriter: BlockRewriter;
  readonly #context: JobContext;
  readonly #concurrency: number;
  readonly #absences: KnownAbsences;

  /** At most `concurrency` blocks are looked at, or rewritten, at once. */
  constructor(rewriter: BlockRewriter, context: JobContext, concurrency: number) {
    this.#rewriter = rewriter;
    this.#context = context;
    this.#concurrency = concurrency;
    const { disk, options } = context;
    this.#absences = new KnownAbsences(disk, join(options.dataDirectory, ABSENCES_FILENAME));
  }

  /** Rewrites what is due; `blocks` are all that are in the bucket. */
  async pass(
    due: readonly DueRewrite[],
    blocks: { has(id: string): boolean },
    signal: AbortSignal,
  ): Promise<PassResult> {
    const result = { worked: 0, elsewhere: 0, failures: [] as string[] };
    const looks: RetentionLook[] = [];
    await concurrently(this.#concurrency, due, signal, async (one, inner) => {
      try {
        const look = await this.#look(one, inner);
        if (look !== undefined) looks.push(look);
      } catch (thrown) {
        inner.throwIfAborted();
        const message = `the index of block ${one.block.ulid} cannot be read for retention: ${messageOf(thrown)}`;
        this.#context.log.warn(message, {});
        result.failures.push(message);
      }
    });
    await this.#absences.save(blocks);
    await this.#rewriter.expect('retention', looks.filter(isPartial).map(jobOf));
    await concurrently(this.#concurrency, looks, signal, async (look, inner) => {
      const done = await this.#apply(look, inner);
      if (done.kind === 'elsewhere') result.elsewhere++;
      else if (done.kind === 'failed') result.failures.push(done.message);
      else result.worked++;
    });
    await this.#absences.save(blocks);
    return result;
  }

  /** `undefined` if the block has none of the series. */
  async #look({ block, classes }: DueRewrite, signal: AbortSignal) {
    const absent = await this.#absences.of(block.ulid);
    if (classes.every(({ id }) => absent.has(id))) return undefined;
    const look = await lookAtIndex({ block, classes }, this.#context.bucket, signal);
    const present = new Set(look.present.map(({ of }) => of.id));
    const found = classes.map(({ id }) => id).filter((id) => !present.has(id));
    await this.#absences.add(block.ulid, found);
    return present.size === 0 ? undefined : look;
  }

  async #apply(look: RetentionLook, signal: AbortSignal) {
    const { block, seriesGone } = look;
    const { metrics } = this.#context;
    if (isPartial(look)) {
      const done = await this.#rewriter.rewrite(jobOf(look), signal);
      if (done.kind === 'unchanged') {
        const ids = look.due.map(({ id }) => id);
        await this.#absences.add(block.ulid, ids);
      }
      return done;
    }
    await markForDeletion(block.ulid, ALL_SERIES_EXPIRED, this.#context, signal);
    const reason = 'retention';
    metrics.rewrites.inc({ reason });
    metrics.droppedSeries.inc({ reason }, seriesGone);
    metrics.droppedSamples.inc({ reason }, block.stats.numSamples);
    return { kind: 'empty' } as const;
  }
}

function isPartial({ seriesGone, seriesTotal }: RetentionLook): boolean {
  return seriesGone < seriesTotal;
}

/** With all classes that are due: the new block says of each that it has none. */
function jobOf({ block, due }: RetentionLook): RewriteJob {
  return { block, deletions: due.flatMap(({ deletions }) => deletions), reason: 'retention' };
}
