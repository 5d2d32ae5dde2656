import { Heap } from '#/lib/heap.ts';
import { compareLabels } from '#/model/labels.ts';
import { combineSeries } from '../combine-series.ts';
import type { StoreSeries } from '../store.ts';

interface Head {
  readonly series: readonly StoreSeries[];
  readonly order: number;
  at: number;
}

/**
 * Merges sorted answers into one, each label set once: what several answers, or several pieces of
 * one, hold of a series is put together, without chunks that are there already.
 */
export function* mergeSeries(answers: readonly (readonly StoreSeries[])[]): Generator<StoreSeries> {
  const heads = new Heap<Head>(
    (a, b) => compareLabels(a.series[a.at]!.labels, b.series[b.at]!.labels) || a.order - b.order,
  );
  for (const [order, series] of answers.entries()) {
    if (series.length > 0) heads.push({ series, order, at: 0 });
  }
  let pieces: StoreSeries[] = [];
  for (let head = heads.top; head !== undefined; head = heads.top) {
    const next = head.series[head.at]!;
    if (pieces.length > 0 && compareLabels(pieces[0]!.labels, next.labels) !== 0) {
      yield combineSeries(pieces);
      pieces = [];
    }
    pieces.push(next);
    head.at++;
    if (head.at === head.series.length) heads.pop();
    else heads.replaceTop(head);
  }
  if (pieces.length > 0) yield combineSeries(pieces);
}
