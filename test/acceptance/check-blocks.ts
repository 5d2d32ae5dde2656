import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { blockIdOf } from '#/blocks/block-files.ts';
import { parseBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { filesystemConfig, hindsight, promtool, run, thanos } from './programs.ts';

/** What programs of Prometheus and Thanos, as far as they are here, have against a bucket's blocks. */
export async function checkBlocks(
  bucket: string,
  print: (line: string) => void,
): Promise<string[]> {
  const metas = await metasOf(bucket);
  const problems: string[] = [];
  const objstore = `--objstore.config=${filesystemConfig(bucket)}`;
  await run(hindsight, ['tools', 'bucket', 'verify', objstore, '--log.level=warn']);
  if (promtool === undefined) print('  promtool: left out, HINDSIGHT_PROMTOOL is not set');
  else {
    problems.push(...(await checkWithPromtool(promtool, bucket, metas)));
    print(`  ${promtool} lists ${metas.length} blocks and analyzes the first`);
  }
  if (thanos === undefined) print('  thanos: left out, HINDSIGHT_THANOS is not set');
  else {
    problems.push(...(await checkWithThanos(thanos, objstore)));
    print(`  ${thanos} tools bucket verify was run`);
  }
  return problems;
}

/** By ULID. */
export async function metasOf(bucket: string): Promise<BlockMeta[]> {
  const names = (await readdir(bucket)).filter((name) => blockIdOf(name) !== undefined).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = join(bucket, name, 'meta.json');
      return parseBlockMeta(await readFile(path, 'utf8'), path);
    }),
  );
}

async function checkWithPromtool(
  program: string,
  bucket: string,
  metas: readonly BlockMeta[],
): Promise<string[]> {
  const listed = await run(program, ['tsdb', 'list', bucket]);
  const problems = metas
    .filter(({ ulid }) => !listed.includes(ulid))
    .map(({ ulid }) => `promtool does not list ${ulid}`);
  const [first] = metas;
  const analysis = await run(program, ['tsdb', 'analyze', bucket, first!.ulid]);
  const { numSeries } = first!.stats;
  if (new RegExp(`(Total )?Series: ${numSeries}\\b`).test(analysis)) return problems;
  return [...problems, `promtool does not find ${numSeries} series: ${analysis.slice(0, 500)}`];
}

/** Thanos ends with 0 whatever it finds, and tells of it in lines. */
async function checkWithThanos(program: string, objstore: string): Promise<string[]> {
  const issues = ['index_known_issues', 'overlapped_blocks', 'duplicated_compaction'];
  const said = await run(program, [
    'tools',
    'bucket',
    'verify',
    objstore,
    ...issues.map((issue) => `--issues=${issue}`),
  ]);
  return said
    .split('\n')
    .filter((line) => /level=(warn|error)/.test(line))
    .map((line) => `thanos tools bucket verify: ${line}`);
}
