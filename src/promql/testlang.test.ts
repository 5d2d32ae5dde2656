import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { isStaleNaN } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { Queryable, QueryContext } from '#/storage/queryable.ts';
import type { InstantQuery, RangeQuery } from './engine.ts';
import { parseExpression } from './parser.ts';
import { runTestScript } from './testlang.ts';
import type { TestedEngine } from './testlang.ts';
import type { TestResult } from './testlang.ts';
import { parseHistogram, formatHistogramLiteral } from './testlang/histogram-literal.ts';
import { parseSequence } from './testlang/sequence.ts';
import { parseStartOffsets } from './testlang/start-times.ts';
import type { Evaluation, QueryValue } from './value.ts';

describe('parseSequence()', () => {
  test('spells out repetitions and steps', () => {
    assert.deepEqual(floats('1 _ -2.5'), [1, undefined, -2.5]);
    assert.deepEqual(floats('1x2 _x2 0+10x2'), [1, 1, 1, undefined, undefined, 0, 10, 20]);
    assert.deepEqual(floats('5-1.5x2 1e3 Inf -Inf NaN'), [
      5,
      3.5,
      2,
      1000,
      Infinity,
      -Infinity,
      NaN,
    ]);
  });

  test('knows stale markers', () => {
    const [value] = parseSequence('stale');
    assert.ok(value?.kind === 'float' && isStaleNaN(value.value));
  });

  test('adds up histograms', () => {
    const values = parseSequence('{{count:1 sum:2 buckets:[1]}}+{{count:2 buckets:[1 1]}}x2');
    const literals = values.map((value) => {
      assert.ok(value.kind === 'histogram');
      return formatHistogramLiteral(value.histogram);
    });
    assert.deepEqual(literals, [
      '{{count:1 sum:2 buckets:[1]}}',
      '{{count:3 sum:2 buckets:[2 1]}}',
      '{{count:5 sum:2 buckets:[3 2]}}',
    ]);
  });

  test('says what it does not understand', () => {
    for (const text of ['1+2', 'abc', '1x', '{{sum:1', '{{nope:1}}', '{{sum:1 sum:2}}', '0x1F']) {
      assert.throws(() => parseSequence(text), { name: 'BadInputError' }, text);
    }
  });
});

test('histogram literals print as they were written', () => {
  const text =
    'schema:-53 count:7 sum:3 custom_values:[1 2.5] counter_reset_hint:gauge offset:1 buckets:[3 4]';
  assert.equal(formatHistogramLiteral(parseHistogram(text).histogram), `{{${text}}}`);
});

test('offsets of start timestamps are spelt out', () => {
  assert.deepEqual(parseStartOffsets('_ -30s _x2 -1m+10sx2 0sx1'), [
    undefined,
    -30_000,
    undefined,
    undefined,
    -60_000,
    -50_000,
    -40_000,
    0,
    0,
  ]);
});

describe('runTestScript()', () => {
  test('loads series and compares what the engine says', async () => {
    const result = await run(`
load 1m
  up{job="a"} 1 2 3
  up{job="b"} 4+1x2

# Both at once.
eval instant at 1m up
  up{job="a"} 2
  up{job="b"} 5

eval range from 0 to 2m step 1m up
  up{job="a"} 1 2 3
  up{job="b"} 4 5 6

clear

eval instant at 1m up
`);
    assert.deepEqual(result, { passed: 3, failed: 0, failures: [] });
  });

  test('tells each eval that fails, with its line', async () => {
    const result = await run(`load 1m
  up 1 2

eval instant at 1m up
  up 3

eval instant at 1m up
  down 2

eval instant at 1m up
  expect fail

eval instant at 1m up
  expect warn
  up 2

eval range from 0 to 1m step 1m up
  up 1 2 3
`);
    assert.equal(result.passed, 0);
    assert.deepEqual(
      result.failures.map(({ line, message }) => [line, message.split('\n')[0]]),
      [
        [4, 'expected 3 for up but got 2'],
        [7, 'unexpected metric up in result, has value 2'],
        [10, 'expected error but got none'],
        [13, 'expected warn annotation "" but found: none'],
        [17, '3 values are more than the range has steps for up (result has [1 @0 2 @60000])'],
      ],
    );
  });

  test('checks errors against texts and patterns', async () => {
    const result = await run(`
eval instant at 1m up[
  expect fail msg: 1:4: parse error: unexpected end of input in duration expression

eval instant at 1m up[
  expect fail regex: unexpected .* in duration

eval_fail instant at 1m up[
  expected_fail_message something else
`);
    assert.deepEqual([result.passed, result.failed], [2, 1]);
  });

  test('converts classic histograms', async () => {
    const result = await run(`
load_with_nhcb 1m
  x_bucket{le="1"} 2
  x_bucket{le="+Inf"} 5
  x_sum 9

eval instant at 0 x
  x {{schema:-53 count:5 sum:9 custom_values:[1] buckets:[2 3]}}
`);
    assert.equal(result.passed, 1);
  });

  test('says where a script is wrong', async () => {
    await assert.rejects(run('clear\n\nload 1m\n  up 1 2 what\n'), {
      name: 'BadInputError',
      message: 'x.test:4: "what" is no value of a series; want 1, _, stale, 1x3, 1+2x3 or {{…}}',
    });
    await assert.rejects(run('boil'), { message: /^x.test:1: invalid command "boil"/ });
  });
});

function floats(text: string): (number | undefined)[] {
  return parseSequence(text).map((value) => (value.kind === 'float' ? value.value : undefined));
}

function run(script: string): Promise<TestResult> {
  return runTestScript(script, 'x.test', { engine: () => new SelectorEngine() });
}

/** Evaluates nothing but a selector, at the very times of its samples. */
class SelectorEngine implements TestedEngine {
  async instant(query: InstantQuery, storage: Queryable): Promise<Evaluation> {
    const { text, timeMs } = query;
    const series = await readAll({ text, startMs: timeMs, endMs: timeMs, stepMs: 1 }, storage);
    return evaluationOf({
      kind: 'vector',
      samples: series.map(({ labels, at, samples }) => {
        const histogram = samples.histograms?.[0];
        const sample = { labels, timeMs: at, value: samples.values[0]! };
        return histogram === undefined ? sample : { ...sample, histogram };
      }),
    });
  }

  async range(query: RangeQuery, storage: Queryable): Promise<Evaluation> {
    const series = await readAll(query, storage);
    return evaluationOf({
      kind: 'matrix',
      series: series.map(({ labels, samples: { times, values, histograms, length } }) => ({
        labels,
        times: histograms === undefined ? times.slice(0, length) : new Float64Array(),
        values: histograms === undefined ? values.slice(0, length) : new Float64Array(),
        histogramTimes: histograms === undefined ? new Float64Array() : times.slice(0, length),
        histograms: (histograms ?? []).filter((histogram) => histogram !== undefined),
      })),
    });
  }
}

async function readAll({ text, startMs, endMs }: RangeQuery, storage: Queryable) {
  const selector = parseExpression(text);
  assert.ok(selector.kind === 'vector-selector');
  const times =
    selector.at?.kind === 'time'
      ? { mint: selector.at.timeMs, maxt: selector.at.timeMs }
      : { mint: startMs, maxt: endMs };
  const context: QueryContext = {
    signal: new AbortController().signal,
    budget: unlimitedBudget(),
  };
  const hints = { stepMs: 0, rangeMs: 0, func: '', limit: 0 };
  const request = { matchers: selector.matchers, ...times, hints };
  const { series } = await storage.select(request, context);
  return series.map((one) => {
    const samples = new SampleBuffer();
    one.read(times.mint, times.maxt, samples);
    if (selector.at !== undefined) pinTo(samples, startMs, endMs);
    return { labels: one.labels, at: startMs, samples };
  });
}

/** The one sample of a pinned selector, at each whole minute of the query. */
function pinTo(samples: SampleBuffer, startMs: number, endMs: number): void {
  for (let time = startMs; time < endMs; time += 60_000) samples.pushFrom(samples, 0);
  for (let i = 0; i < samples.length; i++) samples.times[i] = startMs + i * 60_000;
}

function evaluationOf(value: QueryValue): Evaluation {
  const stats = { totalQueryableSamples: 0, peakSamples: 0, peakBytes: 0 };
  return { value, warnings: [], infos: [], promqlWarnings: [], promqlInfos: [], stats };
}
