import { EvaluationError } from '../evaluation-error.ts';
import { CounterReset, detectReset, equalBounds, withCounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import type { Labels } from '#/model/labels.ts';
import type { MemoryQueryable } from '#/storage/memory-queryable.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { LoadCommand, LoadedSeries, SequenceValue } from './commands.ts';
import { convertClassicHistograms } from './convert-classic.ts';

/** Appends what a `load` command describes, as Prometheus would read it back from its chunks. */
export function load(command: LoadCommand, storage: MemoryQueryable): void {
  for (const series of command.series) appendSeries(series, command.stepMs, storage);
  if (!command.withNhcb) return;
  for (const { labels, histograms } of convertClassicHistograms(command)) {
    const samples = storage.samples(labels);
    for (const [timeMs, histogram] of histograms) {
      checkOrder(samples, timeMs, labels);
      samples.pushHistogram(timeMs, withStoredHint(samples, histogram));
    }
  }
}

function appendSeries(series: LoadedSeries, stepMs: number, storage: MemoryQueryable): void {
  const samples = storage.samples(series.labels);
  for (const [i, value] of series.values.entries()) {
    if (value.kind === 'omitted') continue;
    const timeMs = i * stepMs;
    checkOrder(samples, timeMs, series.labels);
    push(samples, timeMs, value);
    const startOffset = series.startOffsetsMs?.[i];
    if (startOffset !== undefined) samples.setStartTime(samples.length - 1, timeMs + startOffset);
  }
}

function push(
  samples: SampleBuffer,
  timeMs: number,
  value: Exclude<SequenceValue, { kind: 'omitted' }>,
): void {
  if (value.kind === 'float') samples.pushFloat(timeMs, value.value);
  else samples.pushHistogram(timeMs, withStoredHint(samples, value.histogram));
}

function checkOrder(samples: SampleBuffer, timeMs: number, labels: Labels): void {
  const last = samples.length - 1;
  if (last >= 0 && samples.times[last]! >= timeMs) {
    throw new EvaluationError(`out of order sample: ${labels.toString()} at ${timeMs} ms`);
  }
}

/**
 * A chunk of histograms only remembers whether they are gauges and that no counter in it was reset,
 * for which a reset begins another chunk. So the first of a chunk says nothing of resets and the
 * others say that there was none, whatever they said when they were written.
 */
function withStoredHint(samples: SampleBuffer, histogram: FloatHistogram): FloatHistogram {
  if (histogram.counterReset === CounterReset.Gauge) return histogram;
  const previous = samples.histograms?.[samples.length - 1];
  const continues = previous !== undefined && fitsChunkOf(previous, histogram);
  return withCounterReset(histogram, continues ? CounterReset.No : CounterReset.Unknown);
}

function fitsChunkOf(previous: FloatHistogram, histogram: FloatHistogram): boolean {
  return (
    previous.counterReset !== CounterReset.Gauge &&
    histogram.counterReset !== CounterReset.Yes &&
    previous.schema === histogram.schema &&
    previous.zeroThreshold === histogram.zeroThreshold &&
    equalBounds(previous.customValues, histogram.customValues) &&
    !detectReset(withCounterReset(histogram, CounterReset.Unknown), previous)
  );
}
