import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { BadInputError } from '#/lib/errors.ts';
import { compileAnchored, compileWhole, groupText } from './regex.ts';

describe('compileAnchored()', () => {
  test('takes escaped characters for the literals they are', () => {
    const { literals } = compileAnchored(String.raw`10\.0\.0\.1:9100|a\|b|c\\|`);
    assert.deepEqual(literals, ['10.0.0.1:9100', 'a|b', 'c\\', '']);
    assert.deepEqual(compileAnchored(String.raw`(a\.b|c)`).literals, ['a.b', 'c']);
  });

  test('leaves classes, groups and dangling parentheses to the engine', () => {
    for (const pattern of [String.raw`a\d`, String.raw`(a\.b|c)|(d)`, String.raw`(a|b\)`, 'a.b']) {
      assert.equal(literalsOf(pattern), undefined, pattern);
    }
  });

  test('answers as the engine does', () => {
    const part = fc.constantFrom('a', 'b', '|', '\\.', '\\|', '(', ')', '.', '\\\\', '*', '_');
    const pattern = fc.array(part, { maxLength: 7 }).map((parts) => parts.join(''));
    const text = fc
      .array(fc.constantFrom('a', 'b', '.', '|', '\\', '_'))
      .map((all) => all.join(''));
    fc.assert(
      fc.property(pattern, text, (source, value) => {
        let want: boolean | undefined;
        try {
          RE2JS.compile(source, 0);
          want = compileWhole(source).matches(value);
        } catch {
          fc.pre(false);
        }
        assert.equal(compileAnchored(source).matches(value), want);
      }),
      { numRuns: 2000 },
    );
  });
});

test('a pattern must be whole by itself, as Prometheus wants it of a matcher', () => {
  assert.throws(() => compileAnchored('a)*('), /unexpected \): `a\)\*\(`/);
  // The functions that replace compile it in place, so there it passes upstream, too.
  assert.equal(compileWhole('a)*(').matches('aa'), true);
});

describe('a pattern that is too large for matching in bounded time is refused', () => {
  const cases: [what: string, pattern: string, error: string][] = [
    ['long', '.'.repeat(300_000), '300000 characters, at most 200000'],
    [
      'long once its repetitions are written out',
      'a{1000}'.repeat(300),
      '300000 characters with repetitions, at most 200000',
    ],
    ['of optional parts', 'a?'.repeat(1001), '1001 optional parts, at most 1000'],
    ['of optional parts that repeat', '(a?b*){501}', '1002 optional parts, at most 1000'],
    ['of an open range', 'a{0,1000}b?', '1001 optional parts, at most 1000'],
  ];
  for (const [what, pattern, error] of cases) {
    test(`a pattern ${what}`, () => {
      const want = new BadInputError(`error parsing regexp: expression too large: ${error}`);
      assert.throws(() => compileAnchored(pattern), want);
    });
  }

  test('but not a long list of values, or of prefixes', () => {
    const values = Array.from({ length: 100_000 }, (_, i) => String.raw`10\.0\.0\.${i}:9100`);
    assert.ok(compileAnchored(values.join('|')).matches('10.0.0.99999:9100'));
    const prefixes = Array.from({ length: 5000 }, (_, i) => `instance-${i}-.*`);
    assert.ok(compileAnchored(prefixes.join('|')).matches('instance-4999-x'));
  });
});

/** `undefined` for a pattern that does not compile, too. */
function literalsOf(pattern: string): readonly string[] | undefined {
  try {
    return compileAnchored(pattern).literals;
  } catch {
    return undefined;
  }
}

describe('several groups of one name', () => {
  test('match as if each had its own', () => {
    assert.equal(compileAnchored('(?P<a>x)(?P<a>y)').matches('xy'), true);
    assert.equal(compileAnchored(String.raw`(?<a>x)\((?P<a>[(?P<a>]+)`).matches('x(?P<'), true);
  });

  test('give the text of the first that took part', () => {
    const regex = compileWhole('(?P<a>x)(?P<b>y)|(?P<a>z)(?P<a>z)');
    const textOf = (value: string, group: string) => {
      const matcher = regex.matcher(value);
      assert.ok(matcher.matches());
      return groupText(regex, matcher, group);
    };
    assert.deepEqual([textOf('xy', 'a'), textOf('zz', 'a'), textOf('zz', '4')], ['x', 'z', 'z']);
    assert.deepEqual([textOf('zz', 'b'), textOf('zz', 'c'), textOf('zz', '5')], ['', '', '']);
  });
});
