import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startStoreAndQuery } from '../support/hindsight.ts';
import type { StoreAndQuery } from '../support/hindsight.ts';
import { askAll, differenceOf } from './answers.ts';
import type { Answer } from './answers.ts';
import { checkBlocks } from './check-blocks.ts';
import { checkCoarse } from './coarse.ts';
import { writeDataSet } from './data-set.ts';
import { panel } from './panel.ts';
import { compact, hindsight } from './programs.ts';
import type { Scale } from './scale.ts';

export interface CompactAcceptance {
  readonly scale: Scale;
  /** Takes the buckets; what an earlier run left in it is removed. */
  readonly directory: string;
  readonly print: (line: string) => void;
}

/** How the compactor treats replicas. */
interface Variant {
  readonly name: string;
  readonly flags: readonly string[];
  /** Whether blocks keep the replicas apart; queries for downsampled data then have to do so, too. */
  readonly isApart: boolean;
}

const variants: readonly Variant[] = [
  { name: 'apart', flags: [], isApart: true },
  {
    name: 'merged',
    flags: ['--deduplication.replica-label=replica', '--deduplication.func=sticky'],
    isApart: false,
  },
];

/**
 * Weeks of two replicas through the real compactor: a panel of queries answers the same before and
 * after, over raw data and as far as it can be over downsampled, and Prometheus's and Thanos's
 * programs take the blocks. Returns what was not as it should be.
 */
export async function acceptCompaction(options: CompactAcceptance): Promise<string[]> {
  const { scale, directory, print } = options;
  const original = join(directory, 'original');
  await rm(directory, { recursive: true, force: true });
  const written = await timed('blocks of two hours written', options, () =>
    writeDataSet({ scale, bucket: join(original, 'data'), scratch: join(directory, 'scratch') }),
  );
  print(`  ${written.blocks} blocks, ${written.samples} samples, ${written.bytes} bytes`);
  const before = await askBefore(original, options);
  const problems: string[] = [];
  for (const variant of variants) {
    const found = await acceptVariant(variant, original, before, options);
    problems.push(...found.map((problem) => `replicas ${variant.name}: ${problem}`));
  }
  return problems;
}

async function acceptVariant(
  { name, flags, isApart }: Variant,
  original: string,
  before: readonly Answer[],
  options: CompactAcceptance,
): Promise<string[]> {
  const { directory, scale, print } = options;
  const place = join(directory, name);
  await cp(original, place, { recursive: true });
  const bucket = join(place, 'data');
  await timed(`replicas ${name}: compacted and downsampled`, options, () =>
    compact(hindsight, { bucket, workplace: join(place, 'compact'), flags }),
  );
  await using there = await startThere(place);
  const questions = panel(scale);
  const after = await askPanel(there.url, options);
  const differences = questions
    .map((question, i) => differenceOf(question, before[i]!, after[i]!))
    .filter((difference) => difference !== undefined);
  print(`  ${questions.length - differences.length} of ${questions.length} answers are the same`);
  // Which replica a query follows depends on where its range begins, and the block has followed one.
  const mayDiffer = !isApart && !scale.inStep;
  const problems = (mayDiffer ? [] : differences).map(
    ({ expression, samples, of, first }) =>
      `${expression}: ${samples} of ${of} samples differ: ${first}`,
  );
  const coarse = await timed('  downsampled data asked', options, () =>
    checkCoarse(there.url, scale, isApart ? { dedup: 'false' } : {}),
  );
  print(
    `  ${coarse.compared} samples compared with those of raw data, rates at most ${(coarse.largestRateError * 100).toFixed(2)} % off`,
  );
  return [...problems, ...coarse.problems, ...(await checkBlocks(bucket, print))];
}

async function askBefore(directory: string, options: CompactAcceptance): Promise<Answer[]> {
  await using there = await startThere(directory);
  return await askPanel(there.url, options);
}

function startThere(directory: string): Promise<StoreAndQuery> {
  return startStoreAndQuery({ directory, queryFlags: ['--query.replica-label=replica'] });
}

function askPanel(url: string, options: CompactAcceptance): Promise<Answer[]> {
  return timed('  panel asked', options, () => askAll(url, panel(options.scale)));
}

async function timed<T>(
  what: string,
  { print }: CompactAcceptance,
  work: () => Promise<T>,
): Promise<T> {
  const begun = performance.now();
  const result = await work();
  print(`${what} in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return result;
}
