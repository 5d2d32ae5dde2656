import { CounterReset, detectReset, emptyLike } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { isStaleNaN } from '#/model/stale.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';

/**
 * Leaves count and sum of each histogram. Whether a counter was reset is found out while the buckets
 * are still there. Semantics: promql/histogram_stats_iterator.go in Prometheus.
 */
export function reduceToStats({ histograms, length }: SampleBuffer): void {
  if (histograms === undefined) return;
  let last: FloatHistogram | undefined;
  for (let i = 0; i < length; i++) {
    const histogram = histograms[i];
    if (histogram === undefined) continue;
    const { count, sum } = histogram;
    if (isStaleNaN(sum)) continue;
    const counterReset = resetHint(histogram, last);
    histograms[i] = { ...emptyLike(histogram), customValues: NO_BOUNDS, counterReset, count, sum };
    last = histogram;
  }
}

const NO_BOUNDS = new Float64Array(0);

function resetHint(histogram: FloatHistogram, last: FloatHistogram | undefined): CounterReset {
  if (histogram.counterReset !== CounterReset.Unknown || last === undefined) {
    return histogram.counterReset;
  }
  return detectReset(histogram, last) ? CounterReset.Yes : CounterReset.No;
}
