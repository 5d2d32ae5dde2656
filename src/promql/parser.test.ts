import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { typeOf } from './ast.ts';
import type { Expression } from './ast.ts';
import { parseExpression, parseMatchers, parseMetric, PromqlParseError } from './parser.ts';
import type { ParserFeatures } from './parser.ts';
import { arbitraryQuery } from './parser/arbitrary-query.ts';
import { printExpression } from './printer.ts';

const everything: ParserFeatures = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  fillModifiers: true,
  xFunctions: true,
};

describe('parseExpression()', () => {
  test('reads every form of number', () => {
    const numbers = {
      '1': 1,
      '+1.5e3': 1500,
      '-.5': -0.5,
      '1_000': 1000,
      '0x1F': 31,
      '0755': 493,
      '08': 8,
      Inf: Infinity,
      '-inf': -Infinity,
      '1h30m': 5400,
      '4s100ms': 4.1,
    };
    for (const [text, value] of Object.entries(numbers)) {
      const number = parseExpression(text);
      assert.equal(number.kind === 'number' && number.value, value, text);
    }
    const nan = parseExpression('NaN');
    assert.ok(nan.kind === 'number' && Number.isNaN(nan.value));
  });

  test('reads strings in three kinds of quotes', () => {
    const strings = {
      '"a\\tb"': 'a\tb',
      "'it\\'s'": "it's",
      '`raw\\n`': 'raw\\n',
      '"\\u00fc\\xc3\\xbc\\303\\274"': 'üüü',
      '"\\U0001F600"': '😀',
    };
    for (const [text, value] of Object.entries(strings)) {
      const string = parseExpression(text);
      assert.equal(string.kind === 'string' && string.value, value, text);
    }
  });

  test('binds operators as mathematics does', () => {
    const trees = {
      '1 + 2 * 3 ^ 2': '(1 + (2 * (3 ^ 2)))',
      '1 - 2 - 3': '((1 - 2) - 3)',
      '2 ^ 3 ^ 2': '(2 ^ (3 ^ 2))',
      '-a ^ 2 * 3': '(-(a ^ 2) * 3)',
      'a or b and c == bool d': '(a or (b and (c == d)))',
      'a atan2 b + c': '((a atan2 b) + c)',
    };
    for (const [text, tree] of Object.entries(trees)) {
      assert.equal(sketch(parseExpression(text)), tree, text);
    }
  });

  test('lets keywords name metrics and labels', () => {
    for (const name of ['sum', 'offset', 'by', 'start', 'and', 'step', 'fill', 'anchored']) {
      const selector = parseExpression(name);
      assert.equal(selector.kind === 'vector-selector' && selector.name, name);
    }
    const sum = parseExpression('sum by (on, bool, "a b") (sum)');
    assert.deepEqual(sum.kind === 'aggregate' && sum.grouping, ['on', 'bool', 'a b']);
  });

  test('takes names in quotes', () => {
    const selector = parseExpression('{"my metric", "my label"=~"a|b"}');
    assert.ok(selector.kind === 'vector-selector');
    const matchers = selector.matchers.map(({ type, name, value }) => [type, name, value]);
    assert.deepEqual(matchers, [
      ['=', '__name__', 'my metric'],
      ['=~', 'my label', 'a|b'],
    ]);
  });

  test('keeps offset, time and range where they belong', () => {
    const range = parseExpression('up[5m] offset -1h @ 12.3456');
    assert.ok(range.kind === 'matrix-selector' && range.range.kind === 'literal');
    assert.equal(range.range.ms, 300_000);
    assert.deepEqual(range.selector.at, { kind: 'time', timeMs: 12_346 });
    assert.equal(range.selector.offset?.kind === 'literal' && range.selector.offset.ms, -3_600_000);
    const subquery = parseExpression('rate(up[5m])[1h:] @ end()');
    assert.ok(subquery.kind === 'subquery');
    assert.equal(subquery.step, undefined);
    assert.deepEqual(subquery.at, { kind: 'end' });
  });

  test('does arithmetic on durations', () => {
    const text = 'up[max_of(5m, step() * 2)] offset (1h - range())';
    const range = parseExpression(text);
    assert.ok(range.kind === 'matrix-selector' && range.range.kind === 'binary');
    assert.equal(range.range.operator, 'max');
    assert.equal(range.selector.offset?.kind, 'binary');
    assert.throws(() => parseExpression(text, { durationExpressions: false }), {
      message: '1:15: parse error: experimental duration expression is not enabled',
    });
  });

  test('settles how the operands of an operator match', () => {
    const join = parseExpression('a * on (x) group_left (y) b');
    assert.deepEqual(join.kind === 'binary' && join.matching, {
      cardinality: 'many-to-one',
      on: true,
      labels: ['x'],
      include: ['y'],
      fill: {},
    });
    const set = parseExpression('a and b');
    assert.equal(set.kind === 'binary' && set.matching?.cardinality, 'many-to-many');
    const scalar = parseExpression('a * 2');
    assert.ok(scalar.kind === 'binary' && !('matching' in scalar));
    const fill = parseExpression('a + fill_left (-1) fill_right (2) b', everything);
    assert.deepEqual(fill.kind === 'binary' && fill.matching?.fill, { left: -1, right: 2 });
  });

  test('places every node', () => {
    const text = ' sum by (a) ( rate(x[5m] offset 1m) ) > bool 1';
    const root = parseExpression(text);
    assert.equal(cut(text, root), text.trim());
    assert.ok(root.kind === 'binary' && root.left.kind === 'aggregate');
    assert.equal(cut(text, root.left), 'sum by (a) ( rate(x[5m] offset 1m) )');
    const rate = root.left.expression;
    assert.equal(cut(text, rate), 'rate(x[5m] offset 1m)');
    assert.equal(rate.kind === 'call' && cut(text, rate.args[0]!), 'x[5m] offset 1m');
  });

  test('knows types', () => {
    assert.equal(typeOf(parseExpression('1 + pi()')), 'scalar');
    assert.equal(typeOf(parseExpression('1 + up')), 'vector');
    assert.equal(typeOf(parseExpression('(up[5m])')), 'matrix');
    assert.equal(typeOf(parseExpression('"up"')), 'string');
  });

  test('gates what is experimental', () => {
    for (const text of [
      'limitk(1, a)',
      'info(a)',
      'a[5m] anchored',
      'a + fill(0) b',
      'xrate(a[5m])',
    ]) {
      assert.throws(() => parseExpression(text), PromqlParseError, text);
      parseExpression(text, everything);
    }
  });

  /** Text, then the message. The wording is part of the API. */
  const mistakes: Readonly<Record<string, string>> = {
    '': 'unknown position: parse error: no expression found in input',
    '# nothing': '1:1: parse error: no expression found in input',
    'a b': '1:3: parse error: unexpected identifier "b"',
    'a +\n* b': '2:1: parse error: unexpected <op:*>',
    'sum(a b)': '1:7: parse error: unexpected identifier "b" in aggregation',
    'sum by a (b)': '1:8: parse error: unexpected identifier "a" in grouping opts, expected "("',
    'a{b}': '1:4: parse error: unexpected "}" in label matching, expected label matching operator',
    'a{b=1}': "1:5: parse error: unexpected character inside braces: '1'",
    'a{b="1" c="2"}':
      '1:9: parse error: unexpected identifier "c" in label matching, expected "," or "}"',
    'a[5]b]': '1:5: parse error: unexpected identifier "b"',
    'a[5m': '1:5: parse error: unclosed left bracket',
    'a[0]': '1:3: parse error: duration must be greater than 0',
    'a[:1]': '1:4: parse error: unexpected colon before duration in duration expression',
    'a[5m] offset':
      '1:13: parse error: unexpected end of input in offset, expected number, duration, step(), or range()',
    'a offset 1m offset 1m': '1:1: parse error: offset may not be set multiple times',
    'a offset 1m[5m]': '1:12: parse error: no offset modifiers allowed before range',
    '(a)[5m]': '1:4: parse error: ranges only allowed for vector selectors',
    'a * on (x) group_left % b':
      '1:23: parse error: unexpected <op:%> in grouping opts, expected "("',
    'a{b=~"("}': '1:3: parse error: error parsing regexp: missing closing ): `(`',
    [String.raw`a{b=~"x.*\xff\xfey"}`]:
      '1:3: parse error: error parsing regexp: invalid UTF-8: `\udcff\udcfey`',
    'a @ b': '1:5: parse error: unexpected identifier "b" in @, expected timestamp',
    '1 @ 2':
      '1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery',
    'nope(a)': '1:1: parse error: unknown function with name "nope"',
    'rate(a)':
      '1:6: parse error: expected type range vector in call to function "rate", got instant vector',
    'rate()': '1:1: parse error: expected 1 argument(s) in call to "rate", got 0',
    'round(a, 1, 2)': '1:1: parse error: expected at most 2 argument(s) in call to "round", got 3',
    'rate(a[5m],)': '1:11: parse error: trailing commas not allowed in function call args',
    'topk(a)':
      '1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1',
    '1 == 1': '1:3: parse error: comparisons between scalars must use BOOL modifier',
    'a + bool b': '1:3: parse error: bool modifier can only be used on comparison operators',
    'a and 1': '1:1: parse error: set operator "and" not allowed in binary scalar expression',
    'a + on(x) group_left(x) b':
      '1:3: parse error: label "x" must not occur in ON and GROUP clause at once',
    '-"a"':
      '1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got "string"',
    '{}': '1:1: parse error: vector selector must contain at least one non-empty matcher',
    '{a=~".*"}': '1:1: parse error: vector selector must contain at least one non-empty matcher',
    'a{__name__="b"}': '1:1: parse error: metric name must not be set twice: "a" or "b"',
    '1h5d': '1:1: parse error: not a valid duration string: "1h5d"',
    '99999999999999999999h':
      '1:1: parse error: not a valid duration string: "99999999999999999999h"',
    '300y': '1:1: parse error: duration out of range',
    '5mx': '1:1: parse error: bad number or duration syntax: "5mx"',
    '1__0': '1:1: parse error: bad number or duration syntax: "1__"',
    '"\\q"': "1:1: parse error: unknown escape sequence U+0071 'q'",
    '"open': '1:1: parse error: unterminated quoted string',
    '"ü" $': "1:6: parse error: unexpected character: '$'",
    'a)': "1:3: parse error: unexpected right parenthesis ')'",
  };
  for (const [text, message] of Object.entries(mistakes)) {
    test(`says what is wrong with ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseExpression(text), { name: 'BadInputError', message });
    });
  }

  test('bounds nesting and takes large texts', () => {
    const deep = [
      '('.repeat(2_000_000),
      '-'.repeat(2_000_000),
      `a${' + a'.repeat(2_000_000)}`,
      `a${'^a'.repeat(2000)}`,
      `a[${'('.repeat(1_000_000)}`,
      'sum('.repeat(500_000),
      `${'('.repeat(2000)}a${')'.repeat(2000)}`,
      `a${'[1m:]'.repeat(2000)}`,
    ];
    for (const text of deep) {
      assert.throws(() => parseExpression(text), /expression (has|is nested) more than \d+ levels/);
    }
    parseExpression(`${'('.repeat(499)}a${')'.repeat(499)}`);
    parseExpression(`a${' or a'.repeat(998)}`);
    parseExpression(`a{${'x="y",'.repeat(200_000)}}`);
  });
});

test('parseExpression() answers every mutilated text at once, with a result or a parse error', () => {
  const pieces =
    '( ) { } [ ] , : = == =~ !~ </ + - ^ @ sum by on offset bool and fill( max_of( rate( x 5m 1e ' +
    '0x .5 Inf "a" \' ` \\x # \n $ é \u0000';
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.nat(8),
    piece: fc.constantFrom('', ...pieces.split(' ')),
  });
  fc.assert(
    fc.property(arbitraryQuery, fc.array(edit, { minLength: 1, maxLength: 4 }), (query, edits) => {
      let text = printExpression(query);
      for (const { at, cut: length, piece } of edits) {
        const start = Math.floor(at * text.length);
        text = text.slice(0, start) + piece + text.slice(start + length);
      }
      const begin = performance.now();
      try {
        parseExpression(text, everything);
      } catch (thrown) {
        assert.ok(thrown instanceof PromqlParseError, `${text}: ${String(thrown)}`);
      }
      assert.ok(performance.now() - begin < 1000, text);
    }),
    { numRuns: 5000 },
  );
});

describe('parseMatchers()', () => {
  test('reads selectors and lets them match everything', () => {
    const matchers = parseMatchers('up{job!~"a.*"}');
    assert.deepEqual(
      matchers.map(({ type, name, value }) => [type, name, value]),
      [
        ['!~', 'job', 'a.*'],
        ['=', '__name__', 'up'],
      ],
    );
    assert.deepEqual(parseMatchers('{}'), []);
  });

  test('takes nothing else', () => {
    assert.throws(() => parseMatchers('up[5m]'), { message: '1:3: parse error: unexpected "["' });
    assert.throws(() => parseMatchers('sum(up)'), { message: '1:4: parse error: unexpected "("' });
    assert.throws(() => parseMatchers(''), {
      message: 'unknown position: parse error: unexpected end of input',
    });
  });
});

describe('parseMetric()', () => {
  test('reads the name of a series', () => {
    assert.equal(parseMetric('up{job="a", "b c"="d",}').toMetricString(), 'up{"b c"="d", job="a"}');
    assert.equal(parseMetric('{"my metric"}').get('__name__'), 'my metric');
    assert.equal(parseMetric('').size, 0);
  });

  test('says what is wrong', () => {
    assert.throws(() => parseMetric('up{job!="a"}'), {
      message: '1:7: parse error: unexpected <op:!=> in label set, expected "="',
    });
  });
});

function cut(text: string, { position }: Expression): string {
  return text.slice(position.start, position.end);
}

/** The shape of operators and names. */
function sketch(expression: Expression): string {
  switch (expression.kind) {
    case 'number':
      return String(expression.value);
    case 'vector-selector':
      return expression.name;
    case 'unary':
      return `${expression.operator}${sketch(expression.expression)}`;
    case 'binary':
      return `(${sketch(expression.left)} ${expression.operator} ${sketch(expression.right)})`;
    default:
      return expression.kind;
  }
}
