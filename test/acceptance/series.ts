import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { Labels } from '#/model/labels.ts';
import { staleNaN } from '#/model/stale.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { hash, mix } from './hash.ts';
import { DAY_MS, START_MS } from './scale.ts';
import { isIn, SERIES_AN_INSTANCE, touching } from './world.ts';
import type { Replica, Span, World } from './world.ts';

/** A series of the data set: what it is called, and what a replica has of it in a range of time. */
export interface MadeSeries {
  readonly labels: Labels;
  append(replica: Replica, range: Span, into: SampleBuffer): void;
}

/**
 * All series of the world: of 50 of an instance 20 counters, 13 gauges, `up`, 3 native histograms,
 * 3 of short-lived processes, and 10 that rules record, 2 of them histograms. Both replicas see the
 * same values, each at its own moments; what rules record differs a little between them, at equal
 * moments, as each computes it of its own samples.
 */
export function madeSeries(world: World): MadeSeries[] {
  const all: MadeSeries[] = [];
  for (let i = 0; i < world.scale.series; i++) {
    const instance = Math.floor(i / SERIES_AN_INSTANCE);
    const number = i % SERIES_AN_INSTANCE;
    all.push(seriesOf(world, instance, number));
  }
  return all;
}

function seriesOf(world: World, instance: number, number: number): MadeSeries {
  const target = { instance: `host-${instance}`, zone: `zone-${instance % 3}` };
  const seed = hash(`series ${instance} ${number}`);
  const labels = (name: string, more: Readonly<Record<string, string>> = {}) =>
    Labels.fromObject({ __name__: name, ...target, ...more });
  const scraped = (value: Value, end: Value = endOfFloats) =>
    scrapedBy(world, instance, { value, end });
  if (number === 0) return { labels: labels('up'), append: appendUp(world, instance) };
  if (number <= 20) {
    const path = { path: `/api/${number % 5}`, code: number % 4 === 0 ? '500' : '200' };
    const name = number % 2 === 0 ? 'requests_total' : 'sent_bytes_total';
    const counter = counterOf(world, instance, seed);
    return {
      labels: labels(name, { ...path, shelf: `${number}` }),
      append: scraped((time, into) => into.pushFloat(time, counter(time))),
    };
  }
  if (number <= 33) {
    const gauge = (time: number, into: SampleBuffer) => into.pushFloat(time, gaugeAt(seed, time));
    return { labels: labels('temperature', { sensor: `${number}` }), append: scraped(gauge) };
  }
  if (number <= 36) {
    const counter = counterOf(world, instance, seed);
    const observed = (time: number, into: SampleBuffer) =>
      into.pushHistogram(time, histogramOf(counter(time), 1, CounterReset.Unknown));
    return {
      labels: labels('latency_seconds', { path: `/${number}` }),
      append: scraped(observed, endOfHistograms),
    };
  }
  if (number <= 39) {
    const life = world.life(instance * SERIES_AN_INSTANCE + number);
    const worker = (time: number, into: SampleBuffer) =>
      into.pushFloat(time, mix(seed + time) % 50);
    return {
      labels: labels('worker_queue_length', { worker: `${number}` }),
      append: scrapedBy(world, instance, { value: worker, end: endOfFloats }, life),
    };
  }
  const isHistogram = number >= 48;
  return {
    labels: labels(isHistogram ? 'zone:latency_seconds:rate5m' : 'zone:requests:rate5m', {
      rule: `${number}`,
    }),
    append: recordedBy(world, instance, (time, replica, into) => {
      const eye = world.scale.inStep ? 0 : replica.charCodeAt(0);
      const seen = rateAt(seed, time) * (1 + (mix(seed + time + eye) % 1000) / 1e7);
      if (isHistogram) into.pushHistogram(time, histogramOf(100, seen, CounterReset.Gauge));
      else into.pushFloat(time, seen);
    }),
  };
}

type Value = (time: number, into: SampleBuffer) => void;

function endOfFloats(time: number, into: SampleBuffer): void {
  into.pushFloat(time, staleNaN());
}

/** As Prometheus: a series of histograms ends with a histogram. */
function endOfHistograms(time: number, into: SampleBuffer): void {
  into.pushHistogram(time, { ...emptyHistogram, sum: staleNaN() });
}

/** Samples at the moments of the replica's scrapes, and a marker where they begin to fail. */
function scrapedBy(
  world: World,
  instance: number,
  { value, end }: { readonly value: Value; readonly end: Value },
  life?: Span,
): MadeSeries['append'] {
  const { intervalMs } = world.scale;
  return (replica, range, into) => {
    if (life !== undefined && (life.from >= range.to || life.to + intervalMs <= range.from)) return;
    // A scrape before the range tells whether the first of the range is the first to fail.
    const around = { from: range.from - intervalMs, to: range.to };
    const away = touching(world.away(replica), around);
    const broken = [
      ...touching(world.failing(replica, instance), around),
      ...touching(world.down(instance), around),
    ];
    const isCalm = away.length === 0 && broken.length === 0 && life === undefined;
    const lives = life === undefined ? [] : [life];
    const isSeen = (time: number) =>
      !isIn(broken, time) && (life === undefined || isIn(lives, time)) && !isIn(away, time);
    let time = world.firstScrape(replica, instance, range.from);
    let wasSeen = isCalm || isSeen(time - intervalMs);
    for (; time < range.to; time += intervalMs) {
      if (isCalm) {
        value(time, into);
        continue;
      }
      if (isIn(away, time)) {
        wasSeen = false;
        continue;
      }
      const seen = isSeen(time);
      if (seen) value(time, into);
      else if (wasSeen) end(time, into);
      wasSeen = seen;
    }
  };
}

function recordedBy(
  world: World,
  group: number,
  value: (time: number, replica: Replica, into: SampleBuffer) => void,
): MadeSeries['append'] {
  return (replica, range, into) => {
    const away = touching(world.away(replica), range);
    const { intervalMs } = world.scale;
    for (let time = world.firstEvaluation(group, range.from); time < range.to; time += intervalMs) {
      if (!isIn(away, time)) value(time, replica, into);
    }
  };
}

function appendUp(world: World, instance: number): MadeSeries['append'] {
  return (replica, range, into) => {
    const away = touching(world.away(replica), range);
    const down = touching(world.down(instance), range);
    const { intervalMs, inStep } = world.scale;
    const failing = inStep ? [] : touching(world.failing(replica, instance), range);
    let time = world.firstScrape(replica, instance, range.from);
    for (; time < range.to; time += intervalMs) {
      if (isIn(away, time)) continue;
      into.pushFloat(time, isIn(failing, time) || isIn(down, time) ? 0 : 1);
    }
  };
}

/** Whole numbers that grow through the day and the night, from 0 at every restart. */
function counterOf(world: World, instance: number, seed: number): (time: number) => number {
  const restarts = world.restarts(instance);
  const rate = 0.2 + (seed % 500) / 10;
  let [from, to, base] = [0, 0, 0];
  return (time) => {
    if (time < from || time >= to) {
      const next = restarts.findIndex((span) => span.to > time);
      to = next === -1 ? Number.POSITIVE_INFINITY : restarts[next]!.to;
      from = (next === -1 ? restarts.at(-1) : restarts[next - 1])?.to ?? START_MS;
      base = grownUntil(rate, from);
    }
    return Math.floor(grownUntil(rate, time) - base);
  };
}

/** The integral of a rate that is half as much again by day and half as much by night. */
function grownUntil(rate: number, time: number): number {
  const seconds = (time - START_MS) / 1000;
  const day = DAY_MS / 1000 / (2 * Math.PI);
  return rate * (seconds - 0.5 * day * Math.cos(seconds / day));
}

function rateAt(seed: number, time: number): number {
  const day = DAY_MS / (2 * Math.PI);
  return (0.2 + (seed % 500) / 10) * (1 + 0.5 * Math.sin((time - START_MS) / day));
}

/** In steps of a 64th, so that sums of them are exact. */
function gaugeAt(seed: number, time: number): number {
  const day = DAY_MS / (2 * Math.PI);
  const noise = mix(seed + Math.floor(time / 1000)) / 2 ** 32;
  return Math.round((20 + 15 * Math.sin(time / day + (seed % 7)) + 2 * noise) * 64) / 64;
}

const emptyHistogram: FloatHistogram = {
  counterReset: CounterReset.Unknown,
  schema: 0,
  zeroThreshold: 0,
  zeroCount: 0,
  count: 0,
  sum: 0,
  positiveSpans: [],
  positiveBuckets: new Float64Array(0),
  negativeSpans: [],
  negativeBuckets: new Float64Array(0),
  customValues: new Float64Array(0),
};

/** So many observations, times `scale`; no bucket falls while the number grows. */
function histogramOf(count: number, scale: number, counterReset: CounterReset): FloatHistogram {
  const zeroCount = Math.floor(count / 20) * scale;
  const parts = [0.4, 0.3, 0.2, 0.1].map((share) => Math.floor(count * share) * scale);
  const total = parts.reduce((sum, part) => sum + part, zeroCount);
  return {
    ...emptyHistogram,
    counterReset,
    zeroThreshold: 0.001,
    zeroCount,
    count: total,
    sum: total / 4,
    positiveSpans: [
      { offset: -2, length: 2 },
      { offset: 1, length: 2 },
    ],
    positiveBuckets: Float64Array.from(parts),
  };
}
