import { Labels } from '#/model/labels.ts';

/**
 * What the demo's targets measure, as functions of time: the same values are served live and
 * written as history, and the checks compare answers with them.
 */
export interface TrueSeries {
  readonly labels: Labels;
  readonly type: 'counter' | 'gauge';
  /** The value at a time in milliseconds. A counter never falls. */
  readonly valueAt: (timeMs: number) => number;
  /** How fast a counter grows at a time, per second; 0 for a gauge. */
  readonly rateAt: (timeMs: number) => number;
}

export const instances = ['shop-1:8080', 'shop-2:8080', 'shop-3:8080'];
const rooms = ['cellar', 'server', 'office'];
const handlers = ['/cart', '/search', '/checkout'];
const bucketBounds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, Number.POSITIVE_INFINITY];

const DAY = 86_400;
/** Counters start here, so that every time of the demo has small positive values. */
const EPOCH_SECONDS = 1_700_000_000;

/** The series of one target, without `job` and `instance`. */
export function trueSeries(instance: string): TrueSeries[] {
  const scale = 1 + instances.indexOf(instance) / 2;
  const requests = handlers.flatMap((handler, i) =>
    ['200', '500'].map((code) => {
      const share = code === '200' ? 0.98 : 0.02;
      return dailyCounter(
        { __name__: 'demo_requests_total', handler, code },
        scale * share * (5 + 3 * i),
        0.8,
        i / 8,
      );
    }),
  );
  const latency = bucketBounds.map((bound, i) => {
    const le = bound === Number.POSITIVE_INFINITY ? '+Inf' : String(bound);
    // Half of the requests that are left fall into each bucket, and all of them into the last.
    const share = bound === Number.POSITIVE_INFINITY ? 1 : 1 - 0.5 ** (i + 1);
    return dailyCounter(
      { __name__: 'demo_request_duration_seconds_bucket', le },
      scale * 20 * share,
      0.5,
      0,
    );
  });
  const climate = rooms.map((room, i) => ({
    labels: Labels.fromObject({ __name__: 'demo_temperature_celsius', room }),
    type: 'gauge' as const,
    valueAt: (timeMs: number) => 18 + 3 * i + 4 * Math.sin(phase(timeMs / 1000, i / 4)),
    rateAt: () => 0,
  }));
  return [...requests, ...latency, ...climate];
}

/** A counter whose rate swings by `swing` around `meanRate` once a day: the integral, in closed form. */
function dailyCounter(
  labels: Record<string, string>,
  meanRate: number,
  swing: number,
  shift: number,
): TrueSeries {
  const amplitude = (meanRate * swing * DAY) / (2 * Math.PI);
  return {
    labels: Labels.fromObject(labels),
    type: 'counter',
    valueAt: (timeMs) => {
      const seconds = timeMs / 1000 - EPOCH_SECONDS;
      return meanRate * seconds - amplitude * (Math.cos(phase(timeMs / 1000, shift)) - 1);
    },
    rateAt: (timeMs) => meanRate * (1 + swing * Math.sin(phase(timeMs / 1000, shift))),
  };
}

function phase(seconds: number, shift: number): number {
  return 2 * Math.PI * ((seconds % DAY) / DAY + shift);
}

/** What the target answers at `/metrics`: the Prometheus text format. */
export function exposition(instance: string, timeMs: number): string {
  const lines: string[] = [];
  let family = '';
  for (const { labels, type, valueAt } of trueSeries(instance)) {
    const name = labels.get('__name__');
    if (name !== family)
      lines.push(
        `# TYPE ${name.replace(/_bucket$/, '')} ${name.endsWith('_bucket') ? 'histogram' : type}`,
      );
    family = name;
    lines.push(`${labels.toMetricString().replaceAll('", ', '",')} ${valueAt(timeMs)}`);
  }
  return `${lines.join('\n')}\n`;
}
