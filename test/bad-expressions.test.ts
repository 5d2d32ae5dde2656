import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { Channel } from '#/grpc/client.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { messageOf } from '#/lib/errors.ts';
import { nodeNet } from '#/lib/net.ts';
import { randomInteger, seededRandom, systemRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { RemoteStore } from '#/storeapi/client.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { expressions } from './differential/expressions.ts';
import { peerInfo } from './support/components.ts';
import { startStoreAndQuery } from './support/hindsight.ts';
import type { StoreAndQuery } from './support/hindsight.ts';
import { temporaryDirectory } from './support/servers.ts';

const NOW_MS = Date.UTC(2024, 4, 1);
const LONG_VALUE = 'a'.repeat(100_000);
const SEED = 20_240_501;
const MUTATIONS = 5000;
/** What is promised is a second; a loaded machine gets more for one, and a bound for all of them. */
const EACH_MS = 5000;
const TOTAL_MS = 60_000;

let open: AsyncDisposableStack;
let hindsight: StoreAndQuery;
let store: RemoteStore;

before(async () => {
  open = new AsyncDisposableStack();
  const directory = open.use(await temporaryDirectory()).path;
  await writeBlock(join(directory, 'data'));
  hindsight = open.use(
    await startStoreAndQuery({
      directory,
      queryFlags: ['--enable-feature=promql-experimental-functions'],
    }),
  );
  const { storeAddress: address } = hindsight;
  const channel = new Channel({ net: nodeNet, clock: systemClock, random: systemRandom, address });
  open.use(channel);
  const info = () => peerInfo;
  store = new RemoteStore({ channel, clock: systemClock, info, responseTimeoutMs: 0 });
});
after(() => open.disposeAsync());

/** A few series of two hours, one with a value that is long enough to make a regex suffer. */
async function writeBlock(directory: string): Promise<void> {
  const builder = new BlockBuilder();
  const sets = [
    ...['a', 'b'].flatMap((instance) =>
      ['gauge', 'counter_total', 'gappy'].map((name) => ({ __name__: name, instance })),
    ),
    { __name__: 'long', instance: 'a', text: LONG_VALUE },
  ];
  for (const [i, labels] of sets.entries()) {
    const samples = builder.samples(Labels.fromObject(labels));
    for (let at = NOW_MS - 7_200_000; at < NOW_MS; at += 60_000)
      samples.pushFloat(at, i + at / 1e9);
  }
  await builder.write(nodeDisk, directory, {
    ulid: newUlid(NOW_MS, systemRandom),
    maxTime: NOW_MS,
    thanos: { ...emptyThanosMeta, labels: { zone: 'x' } },
  });
}

interface Outcome {
  readonly status: number;
  readonly text: string;
  readonly milliseconds: number;
}

/** Asks as a form, so that long expressions fit. */
async function post(path: string, params: Record<string, string>): Promise<Outcome> {
  const begin = performance.now();
  const body = new URLSearchParams(params);
  const reply = await fetch(`${hindsight.url}/api/v1/${path}`, { method: 'POST', body });
  const text = await reply.text();
  return { status: reply.status, text, milliseconds: performance.now() - begin };
}

const time = String(NOW_MS / 1000 - 60);

/** An answer, or an error that is the request's fault: never a crash, an internal error or a long wait. */
function assertDealtWith({ status, text, milliseconds }: Outcome, what: string): void {
  const shown = `${what.slice(0, 200)}: ${status} ${text.slice(0, 200)}`;
  assert.ok([200, 400, 413, 422].includes(status), shown);
  assert.ok(milliseconds < EACH_MS, `${shown} took ${milliseconds.toFixed(0)} ms`);
}

function assertAlive(): void {
  assert.ok(hindsight.query.isRunning, 'the querier lives');
  assert.ok(hindsight.store.isRunning, 'the store gateway lives');
}

test(`${MUTATIONS} mutated and truncated expressions`, async (t) => {
  const random = seededRandom(SEED);
  const corpus = expressions();
  let worst = 0;
  const begin = performance.now();
  for (let i = 0; i < MUTATIONS; i++) {
    const text = mutate(corpus, (max) => randomInteger(random, 0, max));
    const asRange = i % 4 === 0;
    const outcome = asRange
      ? await post('query_range', {
          query: text,
          start: String(Number(time) - 600),
          end: time,
          step: '60',
        })
      : await post('query', { query: text, time });
    assertDealtWith(outcome, text);
    worst = Math.max(worst, outcome.milliseconds);
  }
  const total = performance.now() - begin;
  t.diagnostic(`slowest ${worst.toFixed(0)} ms, all ${(total / 1000).toFixed(1)} s`);
  assert.ok(total < TOTAL_MS, `all took ${total} ms`);
  assertAlive();
});

const ALPHABET =
  '(){}[]"\'`,:@=!~<>+-*/%^.0123456789eExaborundflist \n\t#$&|;?\\\u0000é𝒳\ud800'.split('');
const TOKENS = [
  'offset',
  'bool',
  'on',
  'by',
  'group_left',
  'start()',
  '5m',
  '1e',
  '0x',
  '[5m:]',
  'or',
  'Inf',
];

/** One to four changes to an expression, each an honest way to get one wrong. */
function mutate(corpus: readonly string[], upTo: (max: number) => number): string {
  const pick = <T>(items: readonly T[]) => items[upTo(items.length - 1)]!;
  let text = pick(corpus);
  for (let left = 1 + upTo(3); left > 0; left--) {
    const at = upTo(text.length);
    const to = at + upTo(6);
    const [head, cut, tail] = [text.slice(0, at), text.slice(at, to), text.slice(to)];
    text = pick([
      () => head,
      () => head + tail,
      () => head + cut + cut + tail,
      () => head + pick(ALPHABET) + cut + tail,
      () => `${head} ${pick(TOKENS)} ${cut}${tail}`,
      () => head + pick(corpus) + cut + tail,
      () => tail + cut + head,
    ])();
  }
  return text;
}

describe('expressions that are large or deep', () => {
  const deep = (open: string, close: string, inner = '1', levels = 2000) =>
    open.repeat(levels) + inner + close.repeat(levels);
  const MIB10 = 10 * 1024 * 1024 - 1000;
  const cases: [what: string, text: string][] = [
    ['parentheses', deep('(', ')')],
    ['minus signs', deep('-', '', 'gauge')],
    ['functions', deep('abs(', ')', 'gauge')],
    ['aggregations', deep('sum(', ')', 'gauge')],
    ['subqueries', deep('max_over_time(', '[5m:1m])', 'gauge')],
    ['ranges behind each other', `gauge${'[5m:1m]'.repeat(2000)}`],
    ['binary operators to the left', 'gauge' + ' + gauge'.repeat(2000)],
    ['binary operators to the right', 'gauge' + ' ^ gauge'.repeat(2000)],
    ['set operators', 'gauge' + ' or gauge'.repeat(2000)],
    ['binary operators in parentheses', deep('(1 + ', ')', '1')],
    ['offsets', `gauge${' offset 1m'.repeat(2000)}`],
    ['open parentheses', '('.repeat(1_000_000)],
    ['open braces', '{'.repeat(1_000_000)],
    ['10 MB of digits', '1'.repeat(MIB10)],
    ['10 MB of a name', 'a'.repeat(MIB10)],
    ['10 MB of a string', `label_replace(gauge, "a", "${'b'.repeat(MIB10 - 100)}", "c", "d")`],
    ['a million spaces', ' '.repeat(1_000_000)],
    ['a million comments', '#\n'.repeat(1_000_000)],
    ['10 MB of signs', '-'.repeat(MIB10)],
    ['many matchers', `{${'a="b",'.repeat(100_000)}}`],
    [
      'many grouping labels',
      `sum by (${Array.from({ length: 100_000 }, (_, i) => `l${i}`).join()}) (gauge)`,
    ],
    ['many arguments', `label_join(gauge, "a", "b"${', "c"'.repeat(100_000)})`],
    ['many additions', `1${'+1'.repeat(1_000_000)}`],
  ];
  for (const [what, text] of cases) {
    test(what, async () => {
      assertDealtWith(await post('query', { query: text, time }), what);
      assertDealtWith(await post('format_query', { query: text }), what);
      assertAlive();
    });
  }
});

/** What makes backtracking engines, and those that count states, suffer. */
const PATTERNS: readonly (readonly [what: string, pattern: string])[] = [
  ['(a+)+$', '(a+)+$'],
  ['(a|a)*b', '(a|a)*b'],
  ['(.*)*b', '(.*)*b'],
  ['(a|aa)+b', '(?i)(a|aa)+b'],
  ['a{1000}{1000}', 'a{1000}{1000}'],
  ['((a{1000}){1000})', '((a{1000}){1000})'],
  ['counted repetitions in a row', 'a{1000}'.repeat(1000)],
  ['optional characters', 'a?'.repeat(1000) + 'a'.repeat(1000)],
  ['counted optional characters', '(a?){1000}b'],
  ['open ranges', 'a{0,1000}b'],
  ['stars', '(.*)(.*)(.*)(.*)(.*)(.*)(.*)b'],
  ['values', Array.from({ length: 100_000 }, (_, i) => `value-${i}`).join('|')],
  ['prefixes', Array.from({ length: 5000 }, (_, i) => `value-${i}.*`).join('|')],
  ['1 MB of dots', '.'.repeat(1_000_000)],
  ['1 MB of optional characters', 'a?'.repeat(500_000)],
  ['1 MB of parentheses', '('.repeat(1_000_000)],
  ['1 MB of groups', '(a|b)'.repeat(200_000)],
  ['1 MB of letters', 'a'.repeat(1_000_000)],
  ['a class of everything', '[\\x00-\\x{10FFFF}]*b'],
  ['a word boundary', '(\\b|a)*b'],
];

describe(`patterns against a value of ${LONG_VALUE.length} characters`, () => {
  for (const [what, pattern] of PATTERNS) {
    const text = JSON.stringify(pattern);
    test(`${what} in a selector`, async () => {
      assertDealtWith(await post('query', { query: `long{text=~${text}}`, time }), what);
      assertDealtWith(await post('series', { 'match[]': `long{text!~${text}}` }), what);
      assertAlive();
    });

    test(`${what} in label_replace`, async () => {
      const query = `label_replace(long, "to", "$1", "text", ${text})`;
      assertDealtWith(await post('query', { query, time }), what);
      assertAlive();
    });

    test(`${what} from a peer`, async () => {
      const begin = performance.now();
      let outcome = 'answered';
      try {
        await readSeries(pattern);
      } catch (thrown) {
        outcome = messageOf(thrown);
      }
      const milliseconds = performance.now() - begin;
      assert.ok(milliseconds < EACH_MS, `${outcome.slice(0, 200)} took ${milliseconds} ms`);
      assertAlive();
    });
  }
});

/** Asks the store gateway itself, with a matcher that nobody compiled before. */
async function readSeries(pattern: string): Promise<void> {
  const regex = { literals: undefined, prefix: '', matches: () => true };
  const answer = store.series(
    {
      mint: NOW_MS - 7_200_000,
      maxt: NOW_MS,
      matchers: [{ type: '=~', name: 'text', value: pattern, regex, matches: () => true }],
      maxResolutionMs: 0,
      aggregates: ['raw'],
      skipChunks: false,
      partialResponse: PartialResponse.Abort,
      withoutReplicaLabels: [],
      limit: 0,
      batchSize: 64,
    },
    { signal: AbortSignal.timeout(60_000), tenant: 'test' },
  );
  for await (const _ of answer);
}
