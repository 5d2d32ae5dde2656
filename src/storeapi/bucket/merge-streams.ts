import { Heap } from '#/lib/heap.ts';
import { compareLabels } from '#/model/labels.ts';
import { combineSeries } from '../combine-series.ts';
import type { SeriesBatch, StoreSeries } from '../store.ts';

/** A stream's batch at hand, and how to get the next. */
interface Head {
  readonly rest: AsyncIterator<SeriesBatch>;
  readonly order: number;
  series: readonly StoreSeries[];
  at: number;
}

const OUTPUT_SERIES = 1000;

/**
 * Merges streams that are each sorted by labels into one, each label set once. One batch of each
 * stream is in memory; the streams are read ahead of nothing. Their warnings come along. Leaving
 * early closes them all.
 */
export async function* mergeStreams(
  streams: readonly AsyncIterable<SeriesBatch>[],
): AsyncGenerator<SeriesBatch, void> {
  const heads = new Heap<Head>(
    (a, b) => compareLabels(a.series[a.at]!.labels, b.series[b.at]!.labels) || a.order - b.order,
  );
  const warnings: string[] = [];
  const open = streams.map((stream) => stream[Symbol.asyncIterator]());
  try {
    const first = await Promise.all(
      open.map((rest, order) => advance({ rest, order, series: [], at: 0 }, warnings)),
    );
    for (const head of first) if (head !== undefined) heads.push(head);
    let output: StoreSeries[] = [];
    let pieces: StoreSeries[] = [];
    for (let head = heads.top; head !== undefined; head = heads.top) {
      const next = head.series[head.at]!;
      if (pieces.length > 0 && compareLabels(pieces[0]!.labels, next.labels) !== 0) {
        output.push(combineSeries(pieces));
        pieces = [];
      }
      pieces.push(next);
      head.at++;
      if (head.at < head.series.length) heads.replaceTop(head);
      else if ((await advance(head, warnings)) === undefined) heads.pop();
      else heads.replaceTop(head);
      if (output.length < OUTPUT_SERIES) continue;
      yield { series: output, warnings: warnings.splice(0) };
      output = [];
    }
    if (pieces.length > 0) output.push(combineSeries(pieces));
    if (output.length + warnings.length > 0) yield { series: output, warnings };
  } finally {
    await Promise.all(open.map(async (rest) => rest.return?.()));
  }
}

/** Gets the next batch with series; `undefined` at the end of the stream. Adds to `warnings`. */
async function advance(head: Head, warnings: string[]): Promise<Head | undefined> {
  do {
    const next = await head.rest.next();
    if (next.done === true) return undefined;
    warnings.push(...next.value.warnings);
    head.series = next.value.series;
    head.at = 0;
  } while (head.series.length === 0);
  return head;
}
