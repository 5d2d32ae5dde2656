import type { Clock } from '#/lib/clock.ts';
import { messageOf } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import { QueryClient } from './client.ts';
import type { Answer, AnswerSeries } from './client.ts';
import { isInGap } from './gaps.ts';
import type { History } from './history.ts';
import type { Stack } from './stack.ts';
import { instances, trueSeries } from './truth.ts';

export interface CheckContext {
  readonly stack: Stack;
  readonly history: History;
  readonly clock: Clock;
  /** Prints a line of the report. */
  readonly print: (line: string) => void;
}

interface Check {
  readonly name: string;
  /** Gives what was seen; throws what is wrong. */
  run(context: CheckContext): Promise<string>;
}

/** Runs every check in order and prints a line for each. Gives whether all of them held. */
export async function runChecks(context: CheckContext): Promise<boolean> {
  const live = context.stack.prometheuses.length > 0;
  let failures = 0;
  for (const check of live ? [...historyChecks, ...liveChecks] : historyChecks) {
    const startedAt = context.clock.now();
    const outcome = await check.run(context).then(
      (seen) => ({ mark: 'ok  ', seen }),
      (thrown: unknown) => ({ mark: 'FAIL', seen: messageOf(thrown) }),
    );
    if (outcome.mark === 'FAIL') failures++;
    const seconds = ((context.clock.now() - startedAt) / 1000).toFixed(1);
    context.print(`${outcome.mark} ${check.name}: ${outcome.seen} (${seconds} s)`);
  }
  return failures === 0;
}

const DAY = 86_400;
const client = ({ stack }: CheckContext) => new QueryClient(stack.query.url);
const nowSeconds = ({ clock }: CheckContext) => Math.floor(clock.now() / 1000);

const historyChecks: readonly Check[] = [
  {
    name: 'a 30-day query has no gap that a replica could fill',
    async run(context) {
      let points = 0;
      for (const range of days(context.history, 60)) {
        const answer = await client(context).range(
          'count_over_time(demo_temperature_celsius{room="server"}[1m])',
          range,
        );
        complete(answer);
        for (const instance of instances) {
          const series = answer.series.find(({ metric }) => metric['instance'] === instance);
          points += expectFilled(context.history, instance, series, range);
        }
      }
      return `${points} minutes of ${instances.length} series`;
    },
  },
  {
    name: 'rates never exceed the true rate across replica switches',
    async run(context) {
      let windows = 0;
      for (const range of days(context.history, 60)) {
        const answer = await client(context).range('rate(demo_requests_total[5m])', range);
        complete(answer);
        for (const series of answer.series) {
          expectTrueRates(series, 300);
          windows += series.values.length;
        }
      }
      expect(windows > 0, 'no data');
      return `${windows} windows`;
    },
  },
];

const liveChecks: readonly Check[] = [
  {
    name: 'deduplicated up has one series a target, and two without deduplication',
    async run(context) {
      const merged = await eventually(context, async () => {
        const answer = await client(context).instant('up');
        const raw = await client(context).instant('up', { dedup: '0' });
        expect(
          raw.series.length === 2 * answer.series.length && answer.series.length > instances.length,
          `${answer.series.length} merged, ${raw.series.length} raw`,
        );
        return answer;
      });
      const targets = new Set(
        merged.series.map(({ metric }) => `${metric['job']} ${metric['instance']}`),
      );
      expect(
        targets.size === merged.series.length,
        `${merged.series.length} series of ${targets.size} targets`,
      );
      return `${merged.series.length} targets, ${2 * merged.series.length} series`;
    },
  },
  {
    name: 'a range over bucket and live data has no seam',
    async run(context) {
      const seam = context.history.endMs / 1000;
      await context.clock.sleep(Math.max(0, (seam + 45) * 1000 - context.clock.now()));
      const end = nowSeconds(context) - 5;
      const range = { start: Math.floor(seam) - 600, end, step: 5 };
      const answer = await client(context).range('demo_requests_total{code="200"}', range);
      expect(answer.series.length === 9, `${answer.series.length} series`);
      const slack = 60;
      for (const series of answer.series) {
        const truth = trueOf(series);
        expect(
          series.values.length === Math.floor((end - range.start) / 5) + 1,
          'a step is missing',
        );
        for (const [time, text] of series.values) {
          const [low, high] = [truth.valueAt((time - slack) * 1000), truth.valueAt(time * 1000)];
          const value = Number(text);
          expect(
            value >= low && value <= high * (1 + 1e-12),
            `${text} at ${time} is not in [${low}, ${high}]`,
          );
        }
      }
      return `${answer.series.length} counters follow the truth for ${Math.round(end - seam)} s behind the seam`;
    },
  },
  {
    name: "one replica's range equals that Prometheus's own answer",
    async run(context) {
      const range = await liveRange(context);
      const prometheus = new QueryClient(context.stack.prometheuses[0]!.url);
      let series = 0;
      for (const query of [
        'demo_requests_total',
        'rate(demo_requests_total[20s])',
        'sum by (job) (up)',
      ]) {
        const own = await prometheus.range(query, range);
        const replica = query.replace(/demo_requests_total|up\b/, (name) => `${name}{replica="a"}`);
        const ours = await client(context).range(replica, range, { dedup: '0' });
        const [got, want] = [canonical(ours), canonical(own)];
        expect(got === want, `${query}: got ${firstDifference(got, want)}`);
        series += own.series.length;
      }
      return `${series} series, identical`;
    },
  },
  {
    name: 'blocks that Prometheus cuts arrive in the bucket and are served from it',
    async run(context) {
      const { stack, history } = context;
      const seam = history.endMs / 1000;
      const samples = await eventually(
        context,
        async () => {
          const window = Math.ceil(nowSeconds(context) - seam);
          const answer = await client(context).instant(
            `count_over_time(demo_temperature_celsius{room="office"}[${window}s])`,
            { 'storeMatch[]': `{__address__="${stack.storeAddress}"}`, dedup: '0' },
          );
          const counts = answer.series.map(({ values }) => Number(values[0]![1]));
          expect(counts.length > 0, 'nothing uploaded yet');
          return counts.reduce((sum, count) => sum + count, 0);
        },
        120_000,
      );
      return `${samples} samples from uploaded blocks`;
    },
  },
  {
    name: 'killing one Prometheus changes nothing but a warning',
    async run(context) {
      const { stack } = context;
      const range = await liveRange(context);
      const query = 'sum by (instance) (rate(demo_requests_total[20s]))';
      const before = await client(context).range(query, range);
      await stack.prometheuses[1]!.kill();
      try {
        const after = await client(context).range(query, range);
        const [got, want] = [pointsOf(after), pointsOf(before)];
        expect(got === want, `${got} points, ${want} before`);
        expect(after.warnings.length > 0, 'no warning');
        sameWithin(after, before, 0.05);
        return `same ${after.series.length} series; ${after.warnings[0]}`;
      } finally {
        await stack.prometheuses[1]!.start();
      }
    },
  },
  {
    name: 'stopping both sidecars still answers history, with a warning',
    async run(context) {
      const { stack, history } = context;
      const end = Math.floor(history.endMs / 1000) - 3600;
      const query = 'sum by (handler) (rate(demo_requests_total[5m]))';
      const day = { start: end - DAY, end, step: 300 };
      const before = await client(context).range(query, day);
      expect(pointsOf(before) > 0, 'no history');
      await Promise.all(stack.sidecars.map((sidecar) => sidecar.stop()));
      const after = await client(context).range(query, day);
      const [got, want] = [canonical(after), canonical(before)];
      expect(got === want, `got ${firstDifference(got, want)}`);
      const untilNow = { ...day, end: nowSeconds(context) };
      const { warnings } = await client(context).range(query, untilNow);
      expect(warnings.length > 0, 'no warning');
      return `the same ${pointsOf(after)} points; ${warnings[0]}`;
    },
  },
  {
    name: 'restarting the sidecars brings the live data back',
    async run(context) {
      await Promise.all(context.stack.sidecars.map((sidecar) => sidecar.start()));
      const answer = await eventually(
        context,
        async () => {
          const live = await client(context).instant('count(up) by (job)', {});
          complete(live);
          expect(live.series.length > 3, `${live.series.length} jobs`);
          return live;
        },
        60_000,
      );
      return `${answer.series.length} jobs, no warning`;
    },
  },
];

/** Half a minute of live data, with what windows of 20 s before it need; waits until it is there. */
async function liveRange({ history, clock }: CheckContext): Promise<Range> {
  const earliest = Math.ceil(history.endMs / 1000) + 25;
  await clock.sleep(Math.max(0, (earliest + 40) * 1000 - clock.now()));
  const end = Math.floor(clock.now() / 1000) - 10;
  return { start: end - 30, end, step: 1 };
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** The history in ranges of a day, in seconds: whole it would have too many steps. */
function days({ startMs, endMs }: History, step: number): Range[] {
  const ranges: Range[] = [];
  const last = Math.floor(endMs / 1000);
  for (let start = Math.ceil(startMs / 1000) + step; start <= last; start += DAY) {
    ranges.push({ start, end: Math.min(last, start + DAY - step), step });
  }
  return ranges;
}

/** No rate is higher than the truth was at any moment of its window. */
function expectTrueRates(series: AnswerSeries, windowSeconds: number): void {
  const { rateAt } = trueOf(series);
  for (const [time, value] of series.values) {
    let highest = 0;
    for (let at = time - windowSeconds; at <= time; at += 15) {
      highest = Math.max(highest, rateAt(at * 1000));
    }
    expect(
      Number(value) <= highest * (1 + 1e-6),
      `rate ${value} at ${time}, the truth was at most ${highest} for ${JSON.stringify(series.metric)}`,
    );
  }
}

/** Checks each step's window `(time - step, time]`; gives how many have a value. */
function expectFilled(
  history: History,
  instance: string,
  series: AnswerSeries | undefined,
  { start, end, step }: Range,
): number {
  const got = new Set(series?.values.map(([time]) => time));
  for (let time = start; time <= end; time += step) {
    const covered = replicaHasSample(history, (time - step) * 1000, time * 1000);
    expect(got.has(time) || !covered, `no value at ${time} for ${instance}`);
  }
  return got.size;
}

/** Whether some replica has a sample in `(startMs, endMs]`: one that it took and did not lose. */
function replicaHasSample(
  { replicas, intervalMs }: History,
  startMs: number,
  endMs: number,
): boolean {
  return replicas.some(({ gaps, phaseMs }) => {
    const first = Math.floor((startMs - phaseMs) / intervalMs + 1) * intervalMs + phaseMs;
    for (let time = first; time <= endMs; time += intervalMs) if (!isInGap(gaps, time)) return true;
    return false;
  });
}

function trueOf({ metric }: AnswerSeries) {
  const series = trueSeries(metric['instance'] ?? '').find(({ labels }) =>
    Array.from(labels).every(({ name, value }) => name === '__name__' || metric[name] === value),
  );
  if (series === undefined) throw new Error(`no such series: ${JSON.stringify(metric)}`);
  return series;
}

/** An answer as a text that is equal for equal answers; what only the querier adds is left out. */
function canonical({ series }: Answer): string {
  const lines = series.map(({ metric, values }) => {
    const own = Labels.fromObject(metric).without(new Set(['cluster', 'replica']));
    return `${own.toString()} ${JSON.stringify(values)}`;
  });
  return lines.sort().join('\n');
}

function firstDifference(got: string, want: string): string {
  const [left, right] = [got.split('\n'), want.split('\n')];
  const i = left.findIndex((line, k) => line !== right[k]);
  if (left.length !== right.length) return `${left.length} series, want ${right.length}`;
  return `${left[i]?.slice(0, 200)}, want ${right[i]?.slice(0, 200)}`;
}

function pointsOf({ series }: Answer): number {
  return series.reduce((sum, { values }) => sum + values.length, 0);
}

/** Every value of `got` is within a share of the value at the same place in `want`. */
function sameWithin(got: Answer, want: Answer, share: number): void {
  for (const [i, { values }] of got.series.entries()) {
    for (const [k, [time, text]] of values.entries()) {
      const before = Number(want.series[i]!.values[k]![1]);
      const difference = Math.abs(Number(text) - before);
      expect(difference <= share * before, `${text} at ${time}, ${before} before`);
    }
  }
}

function complete({ warnings }: Answer): void {
  expect(warnings.length === 0, `unexpected warning: ${warnings[0]}`);
}

function expect(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}

/** Tries until it holds; then gives its value. @throws what the last try threw. */
async function eventually<T>(
  { clock }: CheckContext,
  attempt: () => Promise<T>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = clock.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (thrown) {
      if (clock.now() > deadline) throw thrown;
      await clock.sleep(1000);
    }
  }
}
