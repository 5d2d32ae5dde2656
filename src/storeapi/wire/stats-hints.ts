import { REASONS } from '#/objstore/reason.ts';
import type { Reason } from '#/objstore/reason.ts';
import { RequestTally } from '#/objstore/request-tally.ts';
import { QueryStats, SeriesResponseHints } from '#/proto/hints.ts';
import { SeriesResponse } from '#/proto/store.ts';
import { Any } from '#/proto/well-known.ts';
import { StoreStats } from '../store-stats.ts';

const TYPE_URL = 'type.googleapis.com/hintspb.SeriesResponseHints';

/**
 * A frame of a Series stream that carries `stats` as hints. Of Thanos's figures those are set that
 * are known; requests by reason are in a field of our own, which Thanos skips.
 */
export function statsFrame({ blocksQueried, requests }: StoreStats): Uint8Array {
  const of = (reason: Reason) => requests.byReason.get(reason) ?? { requests: 0, bytes: 0 };
  const [postings, series, chunks] = [of('postings'), of('series'), of('chunks')];
  const hints = SeriesResponseHints.fromPartial({
    queryStats: QueryStats.fromPartial({
      blocksQueried,
      postingsFetchCount: postings.requests,
      postingsFetchedSizeSum: postings.bytes,
      seriesFetchCount: series.requests,
      seriesFetchedSizeSum: series.bytes,
      chunksFetchCount: chunks.requests,
      chunksFetchedSizeSum: chunks.bytes,
      dataDownloadedSizeSum: requests.total.bytes,
    }),
    objectStorageRequests: Array.from(requests.byReason, ([reason, count]) => ({
      reason,
      ...count,
    })),
  });
  const value = SeriesResponseHints.encode(hints).finish();
  return SeriesResponse.encode({
    result: { $case: 'hints', value: { typeUrl: TYPE_URL, value } },
  }).finish();
}

/**
 * What the encoded hints of a Series stream tell; `undefined` for hints without stats, and for
 * damaged ones: an answer is not lost with what was said about it.
 */
export function statsOf(bytes: Uint8Array): StoreStats | undefined {
  const hints = hintsOf(bytes);
  if (hints?.queryStats === undefined) return undefined;
  const { queryStats, objectStorageRequests } = hints;
  const tally = new RequestTally();
  for (const { reason, requests, bytes } of objectStorageRequests) {
    tally.add(REASONS.find((known) => known === reason) ?? 'other', requests, bytes);
  }
  return new StoreStats(queryStats.blocksQueried, tally);
}

function hintsOf(bytes: Uint8Array): SeriesResponseHints | undefined {
  try {
    const { typeUrl, value } = Any.decode(bytes);
    return typeUrl === TYPE_URL ? SeriesResponseHints.decode(value) : undefined;
  } catch {
    return undefined;
  }
}
