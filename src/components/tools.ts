import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { Engine } from '#/promql/engine.ts';
import type { EngineFeatures } from '#/promql/engine.ts';
import { worthSharding } from '#/promql/shards.ts';
import { runTestScript } from '#/promql/testlang.ts';
import { BlockQueryable } from '#/tsdb/block-queryable.ts';
import { Block } from '#/tsdb/block.ts';
import { openShards } from './query-workers.ts';
import type { Runtime } from './runtime.ts';
import { answerOf, explanationOf } from './tools/answer.ts';
import type { Answer } from './tools/answer.ts';
import { printAnswer } from './tools/print-answer.ts';
import type { OutputFormat } from './tools/print-answer.ts';
import { printAnalysis, printExplanation } from './tools/print-tree.ts';
import type { TreeNode } from './tools/print-tree.ts';
import { askUrl } from './tools/remote-query.ts';
import { openStoreSources } from './tools/store-sources.ts';
import type { QueryTimes, Wanted } from './tools/remote-query.ts';

export { openStoreSources } from './tools/store-sources.ts';
export type { OutputFormat } from './tools/print-answer.ts';
export type { QueryTimes, Wanted } from './tools/remote-query.ts';

/** What a tool may touch, and where its text goes. */
export interface ToolEnvironment extends Pick<Runtime, 'clock' | 'disk' | 'net' | 'signal'> {
  readonly write: (text: string) => void;
}

export interface PromqltestConfig {
  readonly paths: readonly string[];
  /** Over how many StoreAPI services the samples are spread; 0 to read them in memory. */
  readonly storeSources: number;
  /** Threads that evaluate whatever can be shared out; such series are read from a service at least. */
  readonly workers: number;
}

/**
 * Runs scripts of Prometheus's PromQL test language; a directory stands for the `.test` files in it.
 * Gives the exit code: 1 when an `eval` failed or a script is no script.
 * @throws BadInputError if there is no such file, or none at all.
 */
export async function runPromqltest(
  { paths, storeSources, workers }: PromqltestConfig,
  { clock, disk, write }: ToolEnvironment,
): Promise<number> {
  const files = (await Promise.all(paths.map((path) => scriptsAt(disk, path)))).flat();
  if (files.length === 0) throw new BadInputError('promqltest: expected FILE…, got none');
  await using open = new AsyncDisposableStack();
  // Small tasks, so that the few series of a script make several.
  const shards = openShards(open, { workers, minWork: 0, batchBytes: 1000 });
  const services = Math.max(storeSources, Math.min(workers, 1));
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    const script = Buffer.from(await disk.read(file)).toString();
    try {
      const result = await runTestScript(script, file, {
        engine: (options) => new Engine({ ...options, shards }),
        log: (line) => write(`${line}\n`),
        ...(services === 0
          ? {}
          : { openSource: (loaded) => openStoreSources(loaded, services, clock) }),
      });
      write(`${file}: ${result.passed} passed, ${result.failed} failed\n`);
      passed += result.passed;
      failed += result.failed;
    } catch (thrown) {
      if (!(thrown instanceof BadInputError)) throw thrown;
      write(`${messageOf(thrown)}\n${file}: not a script of the test language\n`);
      failed++;
    }
  }
  write(`${passed} passed, ${failed} failed\n`);
  return failed > 0 ? 1 : 0;
}

async function scriptsAt(disk: Runtime['disk'], path: string): Promise<string[]> {
  const stat = await disk.stat(path);
  if (stat === undefined) throw new BadInputError(`promqltest: no file ${path}`);
  if (stat.kind === 'file') return [path];
  const entries = await disk.list(path);
  return entries.filter(({ name }) => name.endsWith('.test')).map(({ name }) => `${path}/${name}`);
}

export interface PromqlConfig {
  readonly query: string;
  readonly times: QueryTimes;
  /** A directory of blocks, or the address of an API. */
  readonly source: { readonly directory: string } | { readonly url: string };
  /** The answer, how it would be found, or how it was found and how long that took. */
  readonly wanted: Wanted;
  readonly output: OutputFormat;
  readonly lookbackMs: number;
  readonly features: EngineFeatures;
  /** Threads that evaluate large queries over a directory. */
  readonly workers: number;
}

/**
 * Evaluates a query and prints the answer; gives the exit code.
 * @throws BadInputError if the query is wrong or its data does not allow it.
 */
export async function runPromql(config: PromqlConfig, env: ToolEnvironment): Promise<number> {
  const { source, output, wanted } = config;
  const answer =
    'url' in source
      ? await askUrl(source.url, config, env)
      : await askBlocks(source.directory, config, env);
  env.write(output === 'json' ? printAnswer(answer, output) : print(answer, wanted, output));
  return 0;
}

function print(answer: Answer, wanted: Wanted, output: OutputFormat): string {
  if (wanted === 'answer') return printAnswer(answer, output);
  // A plan stands where an answer has its result.
  const { analysis, ...tree } = answer.data as unknown as TreeNode & { analysis?: TreeNode };
  if (wanted === 'explain') return printExplanation(tree);
  if (analysis?.name !== undefined) return printAnalysis(analysis);
  throw new BadInputError('--analyze: the server answers without an analysis');
}

async function askBlocks(
  directory: string,
  { query: text, times, lookbackMs, features, workers, wanted }: PromqlConfig,
  { disk, signal }: ToolEnvironment,
): Promise<Answer> {
  const blocks = new BlockQueryable(await openBlocks(disk, directory, signal));
  await using open = new AsyncDisposableStack();
  const engine = new Engine({
    lookbackMs,
    maxSamples: 0,
    defaultStepMs: () => 60_000,
    features,
    shards: openShards(open, { workers, ...worthSharding }),
  });
  const context = { signal, budget: unlimitedBudget() };
  const { startMs, endMs, stepMs } = times;
  const common = { text, analyze: wanted === 'analyze' };
  const instant = { ...common, timeMs: endMs };
  const range = stepMs === undefined ? undefined : { ...common, startMs, endMs, stepMs };
  try {
    if (wanted === 'explain') return explanationOf(engine.explain(range ?? instant));
    const evaluation =
      range === undefined
        ? await engine.instant(instant, blocks, context)
        : await engine.range(range, blocks, context);
    return answerOf(evaluation);
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw new BadInputError(messageOf(thrown), { cause: thrown });
  }
}

/** The blocks in a data directory of Prometheus or Hindsight, or the one that the directory is. */
async function openBlocks(
  disk: Runtime['disk'],
  directory: string,
  signal: AbortSignal,
): Promise<Block[]> {
  const isBlock = async (path: string) => (await disk.stat(`${path}/meta.json`)) !== undefined;
  if (await isBlock(directory)) return [await Block.open(disk, directory, signal)];
  const stat = await disk.stat(directory);
  const entries = stat?.kind === 'directory' ? await disk.list(directory) : [];
  const blocks: Block[] = [];
  for (const { name, kind } of entries) {
    const path = `${directory}/${name}`;
    if (kind === 'directory' && (await isBlock(path))) {
      blocks.push(await Block.open(disk, path, signal));
    }
  }
  if (blocks.length > 0) return blocks;
  throw new BadInputError(
    `--tsdb.path: expected a directory with blocks, found none in ${directory}`,
  );
}
