/**
 * Queries over everything in a year of a million series, against a store gateway and a querier that
 * have a budget of memory each: what they answer or refuse, how much physical memory either process
 * takes at its worst, and how a small query fares beside them. A process above its budget and a
 * quarter, and a small query that fails, are errors.
 * Run: `npm run bench -- memory [--series 1000000] [--budget-mib 512] [--query TEXT]
 * [--data DIRECTORY]`. The data take some 4 GB on disk; with `--data` they are kept there.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startStoreAndQuery } from '../test/support/hindsight.ts';
import { temporaryDirectory } from '../test/support/servers.ts';
import { endMs, intervalMs, startMs, writeDataSet } from './memory/data-set.ts';
import { ResidentWatch } from './memory/resident.ts';
import { SmallQuery } from './memory/small-query.ts';

const { values: flags } = parseArgs({
  options: {
    series: { type: 'string', default: '1000000' },
    'budget-mib': { type: 'string', default: '512' },
    /** Asks only the queries that contain this text. */
    query: { type: 'string', default: '' },
    data: { type: 'string', default: '' },
  },
});

const MIB = 1024 * 1024;
const budgetMib = Number(flags['budget-mib']);
const limitMib = budgetMib * 1.25;
const ALL = '{__name__=~".+"}';
const lastSecond = (endMs - intervalMs) / 1000;
const year = { start: String(startMs / 1000), end: String(lastSecond) };
const at = { time: String(lastSecond) };
const daily = { ...year, step: '86400' };

const requests: readonly { path: string; params: Record<string, string> }[] = [
  { path: 'query', params: { query: `count by (__name__) (${ALL})`, ...at } },
  { path: 'query_range', params: { query: `count by (__name__) (${ALL})`, ...daily } },
  { path: 'query', params: { query: `sort(${ALL})`, ...at } },
  { path: 'query_range', params: { query: `sort(${ALL})`, ...daily } },
  { path: 'query', params: { query: `sum(rate(${ALL}[2d]))`, ...at } },
  { path: 'query_range', params: { query: `sum(rate(${ALL}[2d]))`, ...daily } },
  { path: 'query', params: { query: `topk(10, ${ALL})`, ...at } },
  { path: 'query_range', params: { query: `topk(10, ${ALL})`, ...daily } },
  { path: 'query', params: { query: `${ALL}[1y]`, ...at } },
  { path: 'series', params: { 'match[]': ALL, ...year } },
  { path: 'labels', params: { 'match[]': ALL, ...year } },
  { path: 'label/instance/values', params: { 'match[]': ALL, ...year } },
  { path: 'label/instance/values', params: year },
];

await using open = new AsyncDisposableStack();
const directory = flags.data === '' ? open.use(await temporaryDirectory()).path : flags.data;
const begin = performance.now();
if ((await stat(join(directory, 'data')).catch(() => undefined)) === undefined) {
  const count = await writeDataSet(join(directory, 'data'), Number(flags.series));
  print(`${count} series over a year, written in ${seconds(performance.now() - begin)}`);
}
const hindsight = open.use(
  await startStoreAndQuery({
    directory,
    storeFlags: [`--store.memory-limit=${budgetMib}MiB`],
    queryFlags: [`--query.memory-limit=${budgetMib}MiB`, '--query.replica-label=replica'],
  }),
);
const store = open.use(new ResidentWatch(hindsight.store.pid));
const query = open.use(new ResidentWatch(hindsight.query.pid));
const cheap = new URLSearchParams({
  query: 'metric_007_total{instance="10.0.0.7:9100"}',
  ...at,
});
const small = open.use(new SmallQuery(`${hindsight.url}/api/v1/query?${cheap.toString()}`));
const latencies: number[] = [];
let highest = 0;

print(`budget ${budgetMib} MiB a process, at most ${limitMib} MiB resident\n`);
print(row(['store', 'query', 'took', 'small max', 'outcome']));
for (const { path, params } of requests) {
  const text = `${path} ${params['query'] ?? ''}`;
  if (!text.includes(flags.query)) continue;
  await Promise.all([store.begin(), query.begin()]);
  const asked = performance.now();
  const outcome = await ask(
    `${hindsight.url}/api/v1/${path}?${String(new URLSearchParams(params))}`,
  );
  const took = performance.now() - asked;
  const peaks = [await store.peak(), await query.peak()];
  highest = Math.max(highest, ...peaks);
  const during = small.take();
  latencies.push(...during);
  const worst = during.length === 0 ? '-' : `${Math.max(...during).toFixed(0)} ms`;
  print(row([mib(peaks[0]!), mib(peaks[1]!), seconds(took), worst, `${text}\n    ${outcome}`]));
}
latencies.sort((a, b) => a - b);
const percentiles = [50, 90, 99, 100].map((p) => {
  return `p${p} ${(latencies[Math.ceil((p / 100) * latencies.length) - 1] ?? 0).toFixed(0)} ms`;
});
print(`\nhighest resident memory of a process: ${mib(highest)} of ${limitMib} MiB`);
print(
  `small query: ${latencies.length} asked, ${small.failures.length} failed, ${percentiles.join(', ')}`,
);
for (const failure of new Set(small.failures)) print(`  failed: ${failure.slice(0, 300)}`);
if (highest > limitMib * MIB || small.failures.length > 0) process.exitCode = 1;

/** What came of a request, in a line. The body is read and thrown away. */
async function ask(url: string): Promise<string> {
  try {
    const reply = await fetch(url);
    let bytes = 0;
    let beginning = '';
    const decoder = new TextDecoder();
    for await (const piece of reply.body!) {
      bytes += (piece as Uint8Array).length;
      if (beginning.length < 600)
        beginning += decoder.decode(piece as Uint8Array, { stream: true });
    }
    if (beginning.includes('"warnings":')) return `answered in part: ${beginning}`;
    if (reply.ok) return `answered: ${bytes} bytes ${bytes < 600 ? beginning : ''}`;
    return `refused: ${reply.status} ${beginning.slice(0, 600)}`;
  } catch (thrown) {
    return `FAILED: ${String(thrown)}`;
  }
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function row([
  store = '',
  query = '',
  took = '',
  worst = '',
  outcome = '',
]: readonly string[]): string {
  return `${store.padStart(8)} ${query.padStart(8)} ${took.padStart(7)} ${worst.padStart(9)}  ${outcome}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
