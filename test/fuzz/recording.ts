import { readFile, writeFile } from 'node:fs/promises';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import { seededRandom } from '#/lib/random.ts';
import type { Answer, Ask } from './answers.ts';
import { difference } from './difference.ts';
import { ANSWERS_OF_ONE_QUERY } from './explain.ts';
import { textOf } from './query-tree.ts';
import { isOrdered, randomQuery, randomTimes } from './random-query.ts';
import type { QueryTimes } from './random-query.ts';

/** A query with the answer that a Prometheus gave. */
export interface Recorded {
  readonly text: string;
  readonly times: QueryTimes;
  readonly want: Answer;
}

export interface Recording {
  readonly version: string;
  readonly queries: readonly Recorded[];
}

/** An answer longer than this is left out: it would tell no more than a short one. */
const MAX_ANSWER_CHARACTERS = 20_000;

interface RecordOptions {
  readonly count: number;
  readonly seed: number;
  readonly version: string;
  readonly theirs: Ask;
}

/**
 * Writes `count` random queries with their answers to `path`: JSON lines, the first of which has the
 * version, compressed with Brotli. Gives the number of bytes.
 */
export async function record(path: string, options: RecordOptions): Promise<number> {
  const { count, version, theirs } = options;
  const lines = [JSON.stringify({ version })];
  for (let { seed } = options; lines.length <= count; seed++) {
    const random = seededRandom(seed);
    const times = randomTimes(random);
    const text = textOf(randomQuery(random));
    const want = await theirs(text, times);
    const line = JSON.stringify({ text, times, want } satisfies Recorded);
    if (line.length > MAX_ANSWER_CHARACTERS) continue;
    if (await isSteady(theirs, { text, times, want })) lines.push(line);
  }
  const bytes = brotliCompressSync(lines.join('\n'));
  await writeFile(path, bytes);
  return bytes.length;
}

/** Whether the answer does not hang on the order of a map in Prometheus. */
async function isSteady(theirs: Ask, { text, times, want }: Recorded): Promise<boolean> {
  const ordered = times.stepMs === 0 && isOrdered(text);
  for (let i = 1; i < ANSWERS_OF_ONE_QUERY; i++) {
    const got = await theirs(text, times);
    if (difference({ got, want, ordered }, 0) !== undefined) return false;
  }
  return true;
}

export async function readRecording(path: string): Promise<Recording> {
  const text = brotliDecompressSync(await readFile(path)).toString();
  const [head = '{}', ...lines] = text.split('\n');
  const { version } = JSON.parse(head) as { version: string };
  return { version, queries: lines.map((line) => JSON.parse(line) as Recorded) };
}
