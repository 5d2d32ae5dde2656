import { BadInputError } from '#/lib/errors.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { MatchType, Matcher } from '#/model/matcher.ts';
import {
  LabelNamesRequestHints,
  LabelValuesRequestHints,
  SeriesRequestHints,
} from '#/proto/hints.ts';
import * as wire from '#/proto/store.ts';
import { LabelMatcher_Type, PartialResponseStrategy } from '#/proto/types.ts';
import type { LabelMatcher } from '#/proto/types.ts';
import type { Any } from '#/proto/well-known.ts';
import { Aggregates, PartialResponse } from '../store.ts';
import type { LabelNamesRequest, LabelValuesRequest, SeriesRequest, ShardInfo } from '../store.ts';

const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
const matchTypes: readonly MatchType[] = ['=', '!=', '=~', '!~'];

/** The request as our stores understand it. @throws BadInputError for a matcher that is none. */
export function seriesRequestOf(sent: wire.SeriesRequest): SeriesRequest {
  const shard = shardOf(sent.shardInfo);
  const hints = hintsOf(sent.hints, 'SeriesRequestHints', SeriesRequestHints);
  return {
    mint: Number(sent.minTime),
    maxt: Number(sent.maxTime),
    matchers: sent.matchers.map(matcherOf),
    maxResolutionMs: Number(sent.maxResolutionWindow),
    aggregates: sent.aggregates.flatMap((aggregate) => Aggregates[aggregate] ?? []),
    skipChunks: sent.skipChunks,
    partialResponse: partialResponseOf(sent),
    withoutReplicaLabels: sent.withoutReplicaLabels,
    limit: Math.max(0, Number(sent.limit)),
    batchSize: Math.max(0, Number(sent.responseBatchSize)),
    ...(shard === undefined ? {} : { shard }),
    ...blockMatchersOf(hints),
    ...(hints?.enableQueryStats === true ? { wantsStats: true } : {}),
  };
}

export function labelNamesRequestOf(sent: wire.LabelNamesRequest): LabelNamesRequest {
  return labelsRequest(sent, hintsOf(sent.hints, 'LabelNamesRequestHints', LabelNamesRequestHints));
}

export function labelValuesRequestOf(sent: wire.LabelValuesRequest): LabelValuesRequest {
  const hints = hintsOf(sent.hints, 'LabelValuesRequestHints', LabelValuesRequestHints);
  return { ...labelsRequest(sent, hints), label: sent.label };
}

function labelsRequest(sent: wire.LabelNamesRequest, hints: Hints | undefined): LabelNamesRequest {
  return {
    mint: Number(sent.start),
    maxt: Number(sent.end),
    matchers: sent.matchers.map(matcherOf),
    partialResponse: partialResponseOf(sent),
    withoutReplicaLabels: sent.withoutReplicaLabels,
    limit: Math.max(0, Number(sent.limit)),
    ...blockMatchersOf(hints),
  };
}

export function seriesRequestToWire(request: SeriesRequest): wire.SeriesRequest {
  const { shard, blockMatchers, wantsStats = false } = request;
  return wire.SeriesRequest.fromPartial({
    minTime: toInt64(request.mint),
    maxTime: toInt64(request.maxt),
    matchers: request.matchers.map(matcherToWire),
    maxResolutionWindow: toInt64(request.maxResolutionMs),
    aggregates: request.aggregates.map((name) => Aggregates.indexOf(name) as wire.Aggr),
    skipChunks: request.skipChunks,
    partialResponseStrategy: strategyOf(request.partialResponse),
    withoutReplicaLabels: request.withoutReplicaLabels,
    limit: toInt64(request.limit),
    responseBatchSize: toInt64(request.batchSize),
    ...(shard === undefined ? {} : { shardInfo: shardToWire(shard) }),
    ...(blockMatchers === undefined && !wantsStats
      ? {}
      : {
          hints: hintsToWire(blockMatchers, 'SeriesRequestHints', SeriesRequestHints, wantsStats),
        }),
  });
}

export function labelNamesRequestToWire(request: LabelNamesRequest): wire.LabelNamesRequest {
  return wire.LabelNamesRequest.fromPartial({
    ...labelsRequestToWire(request),
    ...(request.blockMatchers === undefined
      ? {}
      : {
          hints: hintsToWire(
            request.blockMatchers,
            'LabelNamesRequestHints',
            LabelNamesRequestHints,
          ),
        }),
  });
}

export function labelValuesRequestToWire(request: LabelValuesRequest): wire.LabelValuesRequest {
  return wire.LabelValuesRequest.fromPartial({
    ...labelsRequestToWire(request),
    label: request.label,
    ...(request.blockMatchers === undefined
      ? {}
      : {
          hints: hintsToWire(
            request.blockMatchers,
            'LabelValuesRequestHints',
            LabelValuesRequestHints,
          ),
        }),
  });
}

function labelsRequestToWire(request: LabelNamesRequest) {
  return {
    start: toInt64(request.mint),
    end: toInt64(request.maxt),
    matchers: request.matchers.map(matcherToWire),
    partialResponseStrategy: strategyOf(request.partialResponse),
    withoutReplicaLabels: request.withoutReplicaLabels,
    limit: toInt64(request.limit),
  };
}

/** @throws BadInputError for an unknown type or a pattern that is no RE2 expression. */
export function matcherOf({ type, name, value }: LabelMatcher): Matcher {
  const match = matchTypes[type];
  if (match === undefined) {
    throw new BadInputError(`matcher on "${name}": found type ${String(type)}, expected 0 to 3`);
  }
  return newMatcher(match, name, value);
}

export function matcherToWire({ type, name, value }: Matcher): LabelMatcher {
  const wireTypes = {
    '=': LabelMatcher_Type.EQ,
    '!=': LabelMatcher_Type.NEQ,
    '=~': LabelMatcher_Type.RE,
    '!~': LabelMatcher_Type.NRE,
  } as const;
  return { type: wireTypes[type], name, value };
}

/** The nearest 64-bit integer. */
export function toInt64(value: number): bigint {
  if (value >= 2 ** 63) return MAX_INT64;
  return value <= -(2 ** 63) ? MIN_INT64 : BigInt(Math.trunc(value));
}

/** Old callers set the flag, others the strategy; either asks to fail rather than answer in part. */
function partialResponseOf(sent: {
  readonly partialResponseDisabled: boolean;
  readonly partialResponseStrategy: PartialResponseStrategy;
}): PartialResponse {
  const strict =
    sent.partialResponseDisabled || sent.partialResponseStrategy === PartialResponseStrategy.ABORT;
  return strict ? PartialResponse.Abort : PartialResponse.Warn;
}

function strategyOf(partialResponse: PartialResponse): PartialResponseStrategy {
  return partialResponse === PartialResponse.Abort
    ? PartialResponseStrategy.ABORT
    : PartialResponseStrategy.WARN;
}

export function shardOf(sent: wire.ShardInfo | undefined): ShardInfo | undefined {
  if (sent === undefined || sent.totalShards < 1n) return undefined;
  return {
    shardIndex: Number(sent.shardIndex),
    totalShards: Number(sent.totalShards),
    by: sent.by,
    labels: sent.labels,
  };
}

function shardToWire({ shardIndex, totalShards, by, labels }: ShardInfo): wire.ShardInfo {
  return { shardIndex: BigInt(shardIndex), totalShards: BigInt(totalShards), by, labels };
}

interface Hints {
  readonly blockMatchers: readonly LabelMatcher[];
  /** Of Series alone. */
  readonly enableQueryStats?: boolean;
}

interface HintsCodec {
  encode(hints: Hints & { readonly enableQueryStats: boolean }): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Hints;
}

const HINTS_URL = 'type.googleapis.com/hintspb.';

function hintsOf(hints: Any | undefined, name: string, codec: HintsCodec): Hints | undefined {
  if (hints === undefined) return undefined;
  if (hints.typeUrl !== HINTS_URL + name) {
    throw new BadInputError(
      `unmarshal request hints: found "${hints.typeUrl}", expected "${HINTS_URL}${name}"`,
    );
  }
  return codec.decode(hints.value);
}

function blockMatchersOf(hints: Hints | undefined): { readonly blockMatchers?: Matcher[] } {
  if (hints === undefined || hints.blockMatchers.length === 0) return {};
  return { blockMatchers: hints.blockMatchers.map(matcherOf) };
}

function hintsToWire(
  matchers: readonly Matcher[] = [],
  name: string,
  codec: HintsCodec,
  enableQueryStats = false,
): Any {
  const hints = { blockMatchers: matchers.map(matcherToWire), enableQueryStats };
  return { typeUrl: HINTS_URL + name, value: codec.encode(hints).finish() };
}
