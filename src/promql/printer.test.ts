import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseExpression } from './parser.ts';
import { formatExpression, printExpression } from './printer.ts';
import { arbitraryQuery } from './parser/arbitrary-query.ts';

const features = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  fillModifiers: true,
};

/** Written, then printed. */
const forms: Readonly<Record<string, string>> = {
  'sum by(b,a)(x)': 'sum by (b, a) (x)',
  'sum(x)by()': 'sum(x)',
  'sum(x)without()': 'sum without () (x)',
  'topk(5,x)by("a b")': 'topk by ("a b") (5, x)',
  'x{b="1",a!~"2"}': 'x{a!~"2",b="1"}',
  '{"x y",a="1"}': '{__name__="x y",a="1"}',
  '{__name__=""  ,a="1"}': '{__name__="",a="1"}',
  'x[5m]offset-1h@1.5': 'x[5m] @ 1.500 offset -1h',
  'x offset 1w@end()smoothed': 'x @ end() smoothed offset 1w',
  'x[300]': 'x[5m]',
  'x[1h:30s]': 'x[1h:30s]',
  'x[(5m)+step()*2]': 'x[(5m) + step() * 2]',
  'x[max_of(1,range()):]': 'x[max_of(1, range()):]',
  'x offset -(5m)': 'x offset -(5m)',
  'x offset 0s': 'x',
  'a+on(x)group_left b': 'a + on (x) group_left () b',
  'a+ignoring()b': 'a + b',
  'a+fill(1)b': 'a + fill (1) b',
  'a+fill_right(2)fill_left(1e7)b': 'a + fill_left (1e+07) fill_right (2) b',
  'a==bool 1': 'a == bool 1',
  '- x': '-x',
  '--1': '1',
  '1e3+1E-7': '1000 + 0.0000001',
  'Inf+NaN': '+Inf + NaN',
  '90s': '1m30s',
  "'a\"\\xff'": '"a\\"\\xff"',
};

describe('printExpression()', () => {
  for (const [written, printed] of Object.entries(forms)) {
    test(`prints ${written} as ${printed}`, () => {
      assert.equal(printExpression(parseExpression(written, features)), printed);
    });
  }

  test('prints what parses to the same expression', () => {
    fc.assert(
      fc.property(arbitraryQuery, (query) => {
        const printed = printExpression(query);
        const parsed = parseExpression(printed, features);
        assert.deepEqual(shape(parsed), shape(query), printed);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('formatExpression()', () => {
  test('leaves short expressions on one line', () => {
    assert.equal(formatExpression(parseExpression('sum(  x)')), 'sum(x)');
  });

  test('breaks and indents long ones', () => {
    const long = (name: string) => `${name}{job="${'j'.repeat(60)}"}`;
    const query = `sum by (a) (rate(${long('x')}[5m]) / on (a) -(${long('y')})) > 1`;
    assert.equal(
      formatExpression(parseExpression(query)),
      [
        '  sum by (a) (',
        `      rate(${long('x')}[5m])`,
        '    / on (a)',
        `      -(${long('y')})`,
        '  )',
        '>',
        '  1',
      ].join('\n'),
    );
  });

  test('formats without changing the meaning', () => {
    fc.assert(
      fc.property(arbitraryQuery, (query) => {
        const parsed = parseExpression(formatExpression(query), features);
        assert.deepEqual(shape(parsed), shape(query));
      }),
      { numRuns: 300 },
    );
  });
});

/** An expression without positions and compiled patterns, matchers in some fixed order. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value !== 'object' || value === null) return value;
  const hidden = ['position', 'regex', 'matches'];
  const entries = Object.entries(value).filter(([key]) => !hidden.includes(key));
  return Object.fromEntries(
    entries.map(([key, inner]) => [key, key === 'matchers' ? sorted(shape(inner)) : shape(inner)]),
  );
}

function sorted(matchers: unknown): string[] {
  assert.ok(Array.isArray(matchers));
  return matchers.map((matcher) => JSON.stringify(matcher)).sort();
}
