import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { valueJson } from '#/api/value-json.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { messageOf } from '#/lib/errors.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import type { Evaluation } from '#/promql/value.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { BlockQueryable } from '#/tsdb/block-queryable.ts';
import { Block } from '#/tsdb/block.ts';
import {
  findProgram,
  findPrometheus3,
  getJson,
  startPrometheus,
  temporaryDirectory,
} from '../support/servers.ts';
import type { PrometheusServer } from '../support/servers.ts';
import { blockMs, endMs, fillBlock, startMs } from './data-set.ts';
import { expressions } from './expressions.ts';
import { knownDifferences } from './known-differences.ts';

/**
 * The same blocks and the same queries, range and instant, for a real Prometheus and for our engine:
 * the answers must be equal to the last digit. What is known to differ between the versions of
 * Prometheus themselves is listed in known-differences.ts. `HINDSIGHT_PROMETHEUS` names another one.
 */
const binary =
  process.env['HINDSIGHT_PROMETHEUS'] ?? findPrometheus3() ?? findProgram('prometheus');
const skip = binary === undefined && 'no prometheus on this machine';

const range = { start: startMs / 1000 + 3600, end: endMs / 1000 - 1800, step: 117 };
const instants = [startMs / 1000 + 7203.5, endMs / 1000 - 600, endMs / 1000 + 240];

describe('our engine and a real Prometheus over the same blocks', { skip }, () => {
  const resources = new AsyncDisposableStack();
  const { signal } = new AbortController();
  const engine = new Engine({
    lookbackMs: 300_000,
    maxSamples: 50_000_000,
    defaultStepMs: () => 60_000,
    features: stableEngineFeatures,
  });
  let prometheus: PrometheusServer;
  let blocks: BlockQueryable;
  let version: string;

  before(async () => {
    const directory = resources.use(await temporaryDirectory()).path;
    const data = join(directory, 'data');
    blocks = new BlockQueryable(await writeBlocks(data));
    prometheus = resources.use(
      await startPrometheus({
        binary: binary!,
        directory,
        flags: ['--storage.tsdb.retention.time=100y', '--query.lookback-delta=5m'],
      }),
    );
    version = await versionOf(prometheus.url);
  });
  after(() => resources.disposeAsync());

  async function ask(path: string, params: Record<string, string>): Promise<Answer> {
    const url = `${prometheus.url}/api/v1/${path}?${new URLSearchParams(params).toString()}`;
    return (await (await fetch(url)).json()) as Answer;
  }

  async function ours(evaluation: Promise<Evaluation>): Promise<Answer> {
    try {
      const { value } = await evaluation;
      return { status: 'success', data: JSON.parse(`{${[...valueJson(value)].join('')}}`) as Data };
    } catch (thrown) {
      return { status: 'error', error: messageOf(thrown) };
    }
  }

  async function rangeAnswers(text: string): Promise<Answers> {
    const want = await ask('query_range', {
      query: text,
      start: String(range.start),
      end: String(range.end),
      step: String(range.step),
    });
    const query = {
      text,
      startMs: range.start * 1000,
      endMs: range.end * 1000,
      stepMs: range.step * 1000,
    };
    const got = await ours(engine.range(query, blocks, { signal, budget: unlimitedBudget() }));
    return { got, want, ordered: false };
  }

  async function instantAnswers(text: string, time: number): Promise<Answers> {
    const want = await ask('query', { query: text, time: String(time) });
    const query = { text, timeMs: time * 1000 };
    const got = await ours(engine.instant(query, blocks, { signal, budget: unlimitedBudget() }));
    return { got, want, ordered: /^(sort|topk|bottomk)/.test(text) };
  }

  test('range queries are answered alike', async () => {
    await compareAll(rangeAnswers);
  });

  for (const time of instants) {
    test(`instant queries at ${time} are answered alike`, async () => {
      await compareAll((text) => instantAnswers(text, time));
    });
  }

  async function compareAll(answer: (text: string) => Promise<Answers>): Promise<void> {
    const unexplained: string[] = [];
    const explained = new Map<string, number>();
    const all = expressions();
    for (const text of all) {
      const answers = await answer(text);
      const found = difference(answers, 0);
      if (found === undefined) continue;
      const reason = knownDifferences(text, version).find(
        ({ tolerance }) => tolerance === 0 || difference(answers, tolerance) === undefined,
      )?.reason;
      if (reason === undefined) unexplained.push(`${text}\n      ${found}`);
      else explained.set(reason, (explained.get(reason) ?? 0) + 1);
    }
    process.stdout.write(`# ${all.length} expressions compared with Prometheus ${version}\n`);
    for (const [reason, count] of explained)
      process.stdout.write(`#   ${count} differ: ${reason}\n`);
    assert.equal(
      unexplained.length,
      0,
      `${unexplained.length} of ${all.length} differ from ${version}:\n    ${unexplained.slice(0, 30).join('\n    ')}`,
    );
  }
});

interface Data {
  readonly resultType: string;
  readonly result: unknown;
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: Data;
}

interface Answers {
  readonly got: Answer;
  readonly want: Answer;
  /** Whether the order of series is part of the answer. */
  readonly ordered: boolean;
}

async function versionOf(url: string): Promise<string> {
  const build = (await getJson(`${url}/api/v1/status/buildinfo`)) as { data: { version: string } };
  return build.data.version;
}

async function writeBlocks(directory: string): Promise<Block[]> {
  const random = seededRandom(7);
  const blocks: Block[] = [];
  for (let start = startMs; start < endMs; start += blockMs) {
    const builder = new BlockBuilder();
    fillBlock(builder, start, start + blockMs);
    const ulid = newUlid(start + blockMs, random);
    await builder.write(nodeDisk, directory, { ulid, minTime: start, maxTime: start + blockMs });
    blocks.push(await Block.open(nodeDisk, join(directory, ulid)));
  }
  return blocks;
}

/** What is different, shortly; `undefined` when nothing is, or nothing by more than `tolerance`. */
function difference({ got, want, ordered }: Answers, tolerance: number): string | undefined {
  if (got.status !== want.status) {
    return `got ${got.status} ${got.error ?? ''}, want ${want.status} ${want.error ?? ''}`;
  }
  if (want.status === 'error') {
    return got.error === want.error ? undefined : `got "${got.error}", want "${want.error}"`;
  }
  const [left, right] = [lines(got.data!, ordered), lines(want.data!, ordered)];
  if (left.length !== right.length) return `got ${left.length} series, want ${right.length}`;
  const at = left.findIndex((line, i) => line !== right[i] && !isNear(line, right[i]!, tolerance));
  return at < 0 ? undefined : excerpt(left[at]!, right[at]!);
}

function lines({ resultType, result }: Data, ordered: boolean): string[] {
  if (!Array.isArray(result) || resultType === 'scalar' || resultType === 'string') {
    return [JSON.stringify(result)];
  }
  const series = result.map((one: { metric: Record<string, string> }) => {
    const { metric, ...samples } = one;
    const labels = Object.fromEntries(Object.entries(metric).sort(([a], [b]) => (a < b ? -1 : 1)));
    return JSON.stringify({ metric: labels, ...samples });
  });
  return ordered ? series : series.sort();
}

const NUMBER = /[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|Inf)|NaN/g;

/** Whether two texts are equal but for numbers that are nearly equal. */
function isNear(got: string, want: string, tolerance: number): boolean {
  if (tolerance === 0 || got.replace(NUMBER, '#') !== want.replace(NUMBER, '#')) return false;
  const wanted = want.match(NUMBER) ?? [];
  return (got.match(NUMBER) ?? []).every((text, i) => {
    if (text === wanted[i]) return true;
    const [left, right] = [Number(text), Number(wanted[i])];
    return Math.abs(left - right) <= tolerance * Math.max(Math.abs(left), Math.abs(right));
  });
}

/** The two texts around the first place where they differ. */
function excerpt(got: string, want: string): string {
  let at = 0;
  while (got[at] === want[at]) at++;
  const from = Math.max(0, at - 60);
  return `${got.slice(0, 80)} … got …${got.slice(from, at + 60)}…, want …${want.slice(from, at + 60)}…`;
}
