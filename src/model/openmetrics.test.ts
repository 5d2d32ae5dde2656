import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { formatSampleValue } from '#/lib/float-text.ts';
import { OpenMetricsParser } from './openmetrics.ts';
import type { Labels } from './labels.ts';

/** `series value time` of every sample; the text comes in pieces of `size` bytes. */
function read(text: string | Uint8Array, size = 1000): string[] {
  const series: Labels[] = [];
  const found: string[] = [];
  const parser = new OpenMetricsParser('x.txt', {
    series: (labels) => series.push(labels) - 1,
    sample: (number, timeMs, value, line) =>
      found.push(
        `${line} ${series[number]!.toMetricString()} ${formatSampleValue(value)} ${timeMs}`,
      ),
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) parser.feed(bytes.subarray(at, at + size));
  parser.end();
  return found;
}

describe('OpenMetricsParser', () => {
  const text = [
    '# HELP http_requests_total What "was" asked',
    '# TYPE http_requests_total counter',
    'http_requests_total{code="200",path="/a\\"b\\\\c\\nd\\x"} 12 1700000000.123 # {trace_id="ü"} 0.5 1.5',
    'http_requests_total{code="200",path="/a\\"b\\\\c\\nd\\x"} 13.5e2 1700000015',
    'http_requests_total{} +Inf -1',
    '# UNIT temp_celsius celsius',
    '{"temp_celsius",room="k ü",} -0.25 1e3',
    '{"a name",empty=""} NaN .5',
    '# EOF\n',
  ].join('\n');
  const samples = [
    '3 http_requests_total{code="200", path="/a\\"b\\\\c\\nd\\\\x"} 12 1700000000123',
    '4 http_requests_total{code="200", path="/a\\"b\\\\c\\nd\\\\x"} 1350 1700000015000',
    '5 http_requests_total +Inf -1000',
    '7 temp_celsius{room="k ü"} -0.25 1000000',
    '8 {__name__="a name"} NaN 500',
  ];

  test('reads samples with their lines, whatever pieces the text comes in', () => {
    assert.deepEqual(read(text), samples);
    for (const size of [1, 2, 7, 64]) assert.deepEqual(read(text, size), samples);
    assert.deepEqual(read(text.trimEnd()), samples);
    assert.deepEqual(read('# EOF'), []);
  });

  test('writes the bounds of buckets and quantiles in one way, by the TYPE before them', () => {
    const lines = [
      '# TYPE h histogram',
      ...['1', '1e3', '0.10', '+Inf', 'x'].map((le) => `h_bucket{le="${le}",quantile="1"} 1 1`),
      '# TYPE s summary',
      's{quantile="1",le="1"} 1 1',
      '# TYPE g gauge',
      's{quantile="1",le="1"} 1 1',
    ];
    const labels = read(`${lines.join('\n')}\n# EOF\n`).map((line) => line.split(/[{}]/)[1]);
    assert.deepEqual(labels, [
      ...['1.0', '1000.0', '0.1', '+Inf', 'x'].map((le) => `le="${le}", quantile="1"`),
      'le="1", quantile="1.0"',
      'le="1", quantile="1"',
    ]);
  });

  const wrong: [line: string, error: string][] = [
    ['a 1', '4: found the end of the line, expected a space and a timestamp in seconds'],
    ['a 1 # {b="c"} 1', '4: found " # {b=\\"c\\"} 1", expected a space and a timestamp in seconds'],
    ['a  1 1', '2: found "  1 1", expected a space and a value'],
    ['a', '2: found the end of the line, expected a space and a value'],
    ['a 1 1 ', '6: found " ", expected an exemplar " # {…} value" or the end of the line'],
    ['a 1 x', '5: found "x", expected a number'],
    ['a 1 NaN', '5: found "NaN", expected a timestamp in seconds'],
    ['a 0x10 1', '3: found "0x10 1", expected a number'],
    ['a 1_0 1', '3: found "1_0 1", expected a number'],
    ['a 1e999 1', '3: found "1e999 1", expected a number'],
    ['a 1 1\r', '5: found "1\\r", expected a number'],
    ['', '1: found the end of the line, expected a metric name'],
    ['1a 1 1', '1: found "1a 1 1", expected a metric name'],
    ['a{1b="c"} 1 1', '3: found "1b=\\"c\\"} 1 1", expected a label name or "}"'],
    ['a{b="c" ,d="e"} 1 1', '8: found " ,d=\\"e\\"} 1 1", expected "," or "}"'],
    ['a{b="ü",c=\'d\'} 1 1', '11: found "\'d\'} 1 1", expected a quoted label value'],
    ['a{b="c",b="d"} 1 1', '9: label "b" is there twice'],
    ['a{__name__="b"} 1 1', "16: label __name__ is the metric's name"],
    ['{b="c"} 1 1', '1: found "{b=\\"c\\"} 1 1", expected a metric name in the braces'],
    ['a{"b"} 1 1', '3: the metric has a name already'],
    ['{""} 1 1', '1: the series has neither a name nor a label'],
    [
      'a 1 1 # {b="c"}',
      '16: found the end of the line, expected a space and the value of the exemplar',
    ],
    ['a 1 1 # {b="c"} 1 1 1', '20: found " 1", expected the end of the line'],
    ['# a comment', '3: found "a comment", expected "HELP ", "TYPE ", "UNIT " or "EOF"'],
    ['# HELP a', '9: found the end of the line, expected a space and the text of HELP'],
    [
      '# TYPE a untyped',
      '10: found "untyped", expected a type: counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown',
    ],
    ['# UNIT a s', '10: found "s", expected a unit that a ends with, after an underscore'],
    ['# EOF\na 1 1', '1: unexpected data after # EOF'],
  ];
  for (const [line, error] of wrong) {
    test(`refuses ${JSON.stringify(line)}`, () => {
      const number = line.startsWith('# EOF') ? 3 : 2;
      assert.throws(
        () => read(`b 1 1\n${line}\n# EOF\n`),
        (thrown: Error) => {
          assert.ok(thrown instanceof BadInputError);
          assert.equal(messageOf(thrown), `x.txt:${number}:${error}`);
          return true;
        },
      );
    });
  }

  test('refuses a text that breaks off, and one that is no UTF-8', () => {
    assert.throws(() => read(''), /x.txt:1:1: found the end, expected a line "# EOF"/);
    assert.throws(() => read('a 1 1\n'), /x.txt:2:1: found the end, expected a line "# EOF"/);
    assert.throws(() => read('a 1 1'), /x.txt:1:1: the text ends within a line/);
    const bytes = Buffer.from('a{b="?"} 1 1\n# EOF\n', 'latin1');
    assert.throws(() => read(bytes.fill(0xff, 5, 6)), /x.txt:1:1: the line is no UTF-8/);
  });
});
