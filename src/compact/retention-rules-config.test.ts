import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadInputError } from '#/lib/errors.ts';
import { printMatcher } from '#/model/matcher.ts';
import { parseRetentionRules } from './retention-rules-config.ts';

const DAY = 24 * 3_600_000;
const rest = new Map([[0, 30 * DAY]]);

test('rules take what they do not say from their retention, and then from the flags', () => {
  const rules = parseRetentionRules(
    '--retention.rules',
    `
- match: '{__name__=~".*:.*"}'
  retention: 5y
- match: ['{namespace="dev"}', 'up{job!="x"}']
  resolution_5m: 90d
  resolution_1h: 0d
- match: '{}'
  retention: 1y
  resolution_raw: 0d
`,
    rest,
  );
  assert.deepEqual(
    rules.map(({ selectors, retentions }) => [
      selectors.map((selector) => selector.map(printMatcher).join(',')),
      [...retentions.values()].map((ms) => ms / DAY),
    ]),
    [
      [['__name__=~".*:.*"'], [1825, 1825, 1825]],
      [
        ['namespace="dev"', 'job!="x",__name__="up"'],
        [30, 90, 0],
      ],
      [[''], [0, 365, 365]],
    ],
  );
  assert.deepEqual(parseRetentionRules('--retention.rules', '', rest), []);
});

const refused: [text: string, message: RegExp][] = [
  ['- match: "{}"\n  retension: 5y', /^--retention\.rules: line 2, column 3: .*retension/],
  [
    '- match: "{}"\n  retention: 5 years',
    /^--retention\.rules: line 2, column 14: .*5 years.*want a duration/,
  ],
  [
    '- match: ["{a=\'b\'}", "{a="]\n  retention: 5d',
    /^--retention\.rules: line 1, column 22: .*no selector of series: .*parse error/,
  ],
  ['- match: []', /line 1, column 10: .*want at least one selector/],
  ['- match: 7', /no selector of series/],
  ['- retention: 5d', /line 1, column 3: .*match/],
];

for (const [text, message] of refused) {
  test(`refused: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseRetentionRules('--retention.rules', text, rest),
      (thrown: Error) => {
        assert.ok(thrown instanceof BadInputError);
        assert.match(thrown.message, message);
        return true;
      },
    );
  });
}
