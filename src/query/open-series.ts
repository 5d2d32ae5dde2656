import { assert } from '#/lib/errors.ts';
import type { SeriesOpener, SeriesReading } from '#/storage/queryable.ts';
import { readReplicas } from './select/chunk-bytes.ts';
import { SeriesReader, StoredSeries } from './select/stored-series.ts';
import type { StoredReading } from './select/stored-series.ts';

/** Opens the series of a `Querier` where they were sent. */
export const openSeries: SeriesOpener = (reading, { budget, onDamage }) => {
  assert(isStored(reading), `nobody reads series of kind ${reading.kind}`);
  const reader = new SeriesReader(reading, {
    budget,
    onDamage: ({ message }) => onDamage(message),
  });
  return (labels, bytes) => new StoredSeries(labels, readReplicas(bytes), reader);
};

function isStored(reading: SeriesReading): reading is StoredReading {
  return reading.kind === 'stored';
}
