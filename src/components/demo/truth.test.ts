import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#/lib/random.ts';
import { isInGap, punchGaps } from './gaps.ts';
import { exposition, instances, trueSeries } from './truth.ts';

const START = 1_790_000_000_000;
const DAY = 86_400_000;

test('true counters grow as fast as they say', () => {
  for (const { type, valueAt, rateAt, labels } of trueSeries(instances[1]!)) {
    if (type === 'gauge') continue;
    for (let time = START; time < START + 2 * DAY; time += 60_000) {
      const growth = valueAt(time + 60_000) - valueAt(time);
      const rate = rateAt(time + 30_000);
      assert.ok(growth > 0 && Math.abs(growth / 60 - rate) < 1e-4 * rate, labels.toString());
    }
  }
});

test('classic buckets of one target are cumulative', () => {
  const buckets = trueSeries(instances[0]!).filter(({ labels }) => labels.has('le'));
  const values = buckets.map(({ valueAt }) => valueAt(START));
  assert.deepEqual(
    values,
    values.toSorted((a, b) => a - b),
  );
});

test('gaps leave out about their share of the time', () => {
  const gaps = punchGaps(seededRandom(1), START, START + 60 * DAY, 0.05);
  const missing = gaps.reduce((sum, gap) => sum + gap.end - gap.start, 0);
  assert.ok(Math.abs(missing / (60 * DAY) - 0.05) < 0.01, String(missing / (60 * DAY)));
  assert.equal(isInGap(gaps, gaps[3]!.start), true);
  assert.equal(isInGap(gaps, gaps[3]!.end), false);
  assert.equal(isInGap(gaps, gaps[3]!.start - 1), false);
});

test('the exposition has one line a series and a type for each family', () => {
  const text = exposition(instances[0]!, START);
  assert.equal(
    text.split('\n').filter((line) => line.startsWith('demo_')).length,
    trueSeries(instances[0]!).length,
  );
  assert.match(text, /^# TYPE demo_request_duration_seconds histogram$/m);
  assert.match(text, /^demo_requests_total\{code="200",handler="\/cart"\} \d/m);
});
