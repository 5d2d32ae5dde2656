import { DAY_MS, HOUR_MS, MINUTE_MS, START_MS } from './scale.ts';
import type { Scale } from './scale.ts';

/** A question for `/api/v1/query`, or with a step for `/api/v1/query_range`. */
export interface Question {
  readonly expression: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Absent for one instant, the end. */
  readonly stepMs?: number;
}

type Stretch = 'all' | 'week' | 'day' | 'hours' | 'moment';

/**
 * 60 questions as dashboards and alerts ask them. Their times fall anywhere between scrapes, and
 * their ranges begin anywhere in blocks.
 */
const questions: readonly (readonly [stretch: Stretch, expression: string])[] = [
  ['hours', 'temperature'],
  ['day', 'temperature{zone="zone-0"}'],
  ['moment', 'temperature'],
  ['all', 'avg(temperature)'],
  ['all', 'sum by (zone) (temperature)'],
  ['week', 'max by (instance) (temperature)'],
  ['week', 'min without (sensor) (temperature)'],
  ['day', 'quantile(0.9, temperature)'],
  ['day', 'stddev by (zone) (temperature)'],
  ['moment', 'topk(5, temperature)'],
  ['day', 'bottomk(3, temperature)'],
  ['moment', 'count_values("degrees", round(temperature))'],
  ['all', 'avg_over_time(temperature{sensor="21"}[1h])'],
  ['week', 'max_over_time(temperature[30m])'],
  ['week', 'min_over_time(temperature{zone="zone-0"}[2h])'],
  ['day', 'stddev_over_time(temperature[10m])'],
  ['day', 'quantile_over_time(0.95, temperature[15m])'],
  ['day', 'deriv(temperature[20m])'],
  ['hours', 'predict_linear(temperature[1h], 3600)'],
  ['hours', 'delta(temperature[10m])'],
  ['hours', 'idelta(temperature[5m])'],
  ['day', 'changes(temperature[15m])'],
  ['all', 'count(temperature > 30)'],
  ['week', 'temperature{sensor="22"} - temperature{sensor="22"} offset 1d'],
  ['moment', 'sum_over_time(temperature[1d])'],
  ['day', 'requests_total{path="/api/1"}'],
  ['hours', 'rate(requests_total[5m])'],
  ['day', 'rate(sent_bytes_total[2m])'],
  ['all', 'sum by (path) (rate(requests_total[5m]))'],
  ['all', 'sum(rate(sent_bytes_total[1h]))'],
  ['week', 'sum by (instance, code) (rate(requests_total[10m]))'],
  ['week', 'increase(requests_total{code="500"}[1h])'],
  ['moment', 'increase(requests_total[1d])'],
  ['day', 'irate(requests_total[5m])'],
  ['week', 'resets(requests_total[6h])'],
  ['moment', 'resets(sent_bytes_total[3d])'],
  ['all', 'sum(requests_total) / count(requests_total)'],
  [
    'week',
    'sum(rate(requests_total{code="500"}[30m])) / sum(rate(requests_total[30m])) * 100 > bool 20',
  ],
  ['day', 'topk(3, sum by (instance) (rate(requests_total[5m])))'],
  ['moment', 'max_over_time(sum(rate(requests_total[5m]))[6h:1m])'],
  ['day', 'rate(requests_total[5m]) unless on (instance) up == 0'],
  ['hours', 'label_replace(rate(sent_bytes_total[5m]), "host", "$1", "instance", "host-(.*)")'],
  ['all', 'sum(up)'],
  ['all', 'avg_over_time(up[1d])'],
  ['week', 'count by (zone) (up == 0)'],
  ['week', 'min_over_time(up[5m]) == 0'],
  ['day', 'absent_over_time(up{instance="host-0"}[5m])'],
  ['day', 'count_over_time(up[10m])'],
  ['moment', 'sum by (zone) (count_over_time({__name__=~".+"}[1h]))'],
  ['week', 'zone:requests:rate5m{rule="40"}'],
  ['all', 'sum by (zone) (zone:requests:rate5m)'],
  ['day', 'avg_over_time(zone:requests:rate5m[1h])'],
  ['moment', 'last_over_time(zone:requests:rate5m[1h])'],
  ['day', 'histogram_quantile(0.9, sum by (zone) (rate(latency_seconds[5m])))'],
  ['week', 'histogram_count(sum(rate(latency_seconds[30m])))'],
  ['hours', 'latency_seconds'],
  ['day', 'histogram_avg(increase(latency_seconds[1h]))'],
  ['moment', 'zone:latency_seconds:rate5m'],
  ['all', 'sum(worker_queue_length)'],
  ['day', 'count(worker_queue_length) or vector(0)'],
];

export function panel(scale: Scale): Question[] {
  const total = scale.days * DAY_MS;
  return questions.map(([stretch, expression], i) => {
    const length = Math.min(lengths[stretch], total);
    // Off every round time, and somewhere else for each.
    const startMs = START_MS + Math.floor((total - length) * ((i * 0.618) % 1)) + 1 + i * 137;
    const endMs = Math.min(startMs + length, START_MS + total);
    const stepMs = Math.floor(length / points[stretch]);
    if (stretch === 'moment') return { expression, startMs: endMs, endMs };
    return { expression, startMs, endMs, stepMs };
  });
}

const lengths: Readonly<Record<Stretch, number>> = {
  all: Number.POSITIVE_INFINITY,
  week: 7 * DAY_MS,
  day: DAY_MS,
  hours: 2 * HOUR_MS,
  moment: 11 * MINUTE_MS,
};

const points: Readonly<Record<Stretch, number>> = {
  all: 500,
  week: 500,
  day: 1000,
  hours: 240,
  moment: 1,
};
