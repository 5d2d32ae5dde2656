import type { Clock } from '#/lib/clock.ts';
import { BadInputError, UnavailableError, messageOf } from '#/lib/errors.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import type { MemoryBudget } from '#/lib/memory-budget.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { Labels } from '#/model/labels.ts';
import { matchExternalLabels } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import type { SourceReport } from '#/storage/queryable.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { chooseEndpoints } from './proxy/choose.ts';
import { collect } from './proxy/collect.ts';
import type { Collected } from './proxy/collect.ts';
import type { ProxyEndpoint, TsdbSelector } from './proxy/endpoint.ts';
import { mergeSeries } from './proxy/merge.ts';
import { sourceReport } from './proxy/source-report.ts';
import { describeEndpoint } from './proxy/texts.ts';
import { StoreStats } from './store-stats.ts';
import { PartialResponse } from './store.ts';
import type {
  LabelNamesRequest,
  LabelValuesRequest,
  SeriesBatch,
  SeriesRequest,
  Store,
  StoreContext,
  StoreInfo,
  StoreNames,
  StoreSeries,
} from './store.ts';

export { labelSetsMatch } from './proxy/choose.ts';
export type { ProxyEndpoint, TsdbSelector } from './proxy/endpoint.ts';

export interface ProxyOptions {
  /** The endpoints of the moment; asked for at every call. */
  readonly endpoints: () => readonly ProxyEndpoint[];
  /** Act as external labels in matching, and are announced. */
  readonly selectorLabels: Labels;
  readonly tsdbSelector?: TsdbSelector;
  /** The longest wait for an endpoint's first frame and between frames; 0 for no bound. */
  readonly responseTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A part of the data that an answer lacks. */
export interface MissingPart {
  readonly address: string;
  readonly labelSets: readonly Labels[];
  /** The closed range that it would have had to cover, in milliseconds. */
  readonly mint: number;
  readonly maxt: number;
  readonly reason: string;
}

/** What a caller in this process may add to a call. */
export interface ProxyContext extends StoreContext {
  /** `storeMatch[]`: alternatives of matchers on `__address__`. */
  readonly storeMatchers?: readonly (readonly Matcher[])[];
  /** Where received bytes are reserved. */
  readonly budget?: MemoryBudget;
  readonly onMissing?: (part: MissingPart) => void;
  /** Told what each endpoint answered to Series. */
  readonly onSource?: (report: SourceReport) => void;
}

const DEFAULT_BATCH = 64;

/**
 * One store made of many. Every endpoint whose labels and times can match is asked at once; the
 * answers are read whole, checked for order and merged by labels. An endpoint that fails, stalls
 * or floods is a warning (WARN) or ends the call (ABORT); it never hangs it.
 *
 * A lost endpoint is a warning under WARN. Under ABORT it is only reported through `onMissing`:
 * refusing to answer until it is forgotten would stop every rule whenever a replica restarts.
 */
export class ProxyStore implements Store {
  readonly #options: ProxyOptions;
  readonly #emptyStreams;
  readonly #unsortedStreams;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#emptyStreams = options.metrics.counter({
      name: 'thanos_proxy_store_empty_stream_responses_total',
      help: 'Total number of empty responses received.',
    });
    this.#unsortedStreams = options.metrics.counter({
      name: 'thanos_proxy_store_unsorted_stream_responses_total',
      help: 'Total number of responses whose series were out of order and had to be sorted.',
    });
  }

  info(): StoreInfo {
    const { endpoints, selectorLabels, tsdbSelector } = this.#options;
    const all = endpoints().map(({ store }) => store.info());
    const infos = all.flatMap((info) => {
      const labelSets = tsdbSelector?.(info.labelSets) ?? info.labelSets;
      return labelSets.length === 0 && info.labelSets.length > 0 ? [] : [{ ...info, labelSets }];
    });
    const labelSets = new Map<string, Labels>();
    for (const labels of infos.flatMap((info) => info.labelSets)) {
      const merged = labels.merge(selectorLabels);
      labelSets.set(merged.key, merged);
    }
    if (labelSets.size === 0 && selectorLabels.size > 0) labelSets.set('', selectorLabels);
    return {
      labelSets: [...labelSets.values()],
      mint: infos.length === 0 ? MIN_TIME : Math.min(...infos.map(({ mint }) => mint)),
      maxt: infos.length === 0 ? MAX_TIME : Math.max(...infos.map(({ maxt }) => maxt)),
      tsdbInfos: infos.flatMap(({ tsdbInfos }) => tsdbInfos),
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
    };
  }

  async *series(request: SeriesRequest, context: ProxyContext): AsyncGenerator<SeriesBatch> {
    const plan = this.#plan(request, context);
    if (plan === undefined) return;
    const { asked, lost, matchers } = plan;
    const fanOut = new AbortController();
    const signal = AbortSignal.any([context.signal, fanOut.signal]);
    try {
      const answers = await Promise.all(
        asked.map((endpoint) =>
          this.#ask(endpoint, { ...request, matchers }, { ...context, signal }),
        ),
      );
      const warnings = [...lost, ...answers.flatMap((answer) => this.#problems(answer))];
      if (warnings.length > 0) yield { series: [], warnings };
      yield* batches(
        mergeSeries(answers.map(({ series }) => series)),
        request.batchSize > 1 ? request.batchSize : DEFAULT_BATCH,
        request.limit,
      );
      if (request.wantsStats === true) {
        const stats = new StoreStats();
        for (const answer of answers) stats.add(answer.stats);
        yield { series: [], warnings: [], stats };
      }
    } finally {
      fanOut.abort();
    }
  }

  labelNames(request: LabelNamesRequest, context: ProxyContext): Promise<StoreNames> {
    return this.#names('names', request, context, (store, forwarded, inner) =>
      store.labelNames({ ...forwarded, limit: 0 }, inner),
    );
  }

  async labelValues(request: LabelValuesRequest, context: ProxyContext): Promise<StoreNames> {
    if (request.label === '') throw new BadInputError('label name parameter cannot be empty');
    return this.#names('values', request, context, (store, forwarded, inner) =>
      store.labelValues(forwarded, inner),
    );
  }

  /** Reads one endpoint; under ABORT the first failure or warning ends everything. */
  async #ask(
    endpoint: ProxyEndpoint,
    request: SeriesRequest,
    context: ProxyContext,
  ): Promise<Collected> {
    const { clock, responseTimeoutMs, log } = this.#options;
    const budget = context.budget ?? unlimitedBudget();
    const sinceMs = clock.now();
    const answer = await collect(endpoint, request, context, { clock, responseTimeoutMs, budget });
    context.onSource?.(sourceReport(answer, clock.now() - sinceMs));
    if (answer.series.length + answer.warnings.length === 0) this.#emptyStreams.inc();
    if (answer.wasUnsorted) {
      this.#unsortedStreams.inc();
      log.warn('endpoint sent series out of order', { address: endpoint.address });
    }
    for (const reason of this.#problems(answer)) {
      report(endpoint, request, context, reason);
      if (request.partialResponse === PartialResponse.Abort) throw new UnavailableError(reason);
    }
    return answer;
  }

  #problems({ warnings, failure }: Collected): readonly string[] {
    return failure === undefined ? warnings : [...warnings, failure];
  }

  async #names<Request extends LabelNamesRequest>(
    what: 'names' | 'values',
    request: Request,
    context: ProxyContext,
    ask: (store: Store, request: Request, context: StoreContext) => Promise<StoreNames>,
  ): Promise<StoreNames> {
    const plan = this.#plan(request, context);
    if (plan === undefined) return { names: [], warnings: [] };
    const { asked, lost, matchers } = plan;
    const fanOut = new AbortController();
    const signal = AbortSignal.any([context.signal, fanOut.signal]);
    const names = new Set<string>();
    const warnings = [...lost];
    const askOne = async (endpoint: ProxyEndpoint) => {
      try {
        const call = ask(endpoint.store, { ...request, matchers }, { ...context, signal });
        const answer = await untilAborted(call, signal);
        for (const name of answer.names) names.add(name);
        warnings.push(...answer.warnings);
        for (const warning of answer.warnings) report(endpoint, request, context, warning);
      } catch (thrown) {
        signal.throwIfAborted();
        const reason = `fetch label ${what} from store ${describeEndpoint(endpoint)}: ${messageOf(thrown)}`;
        report(endpoint, request, context, reason);
        if (request.partialResponse === PartialResponse.Abort) throw new UnavailableError(reason);
        warnings.push(reason);
      }
    };
    try {
      await Promise.all(asked.map(askOne));
    } finally {
      fanOut.abort();
    }
    const sorted = [...names].sort(compareUtf8);
    return { names: request.limit > 0 ? sorted.slice(0, request.limit) : sorted, warnings };
  }

  /** Whom to ask what; `undefined` when nobody can have an answer. */
  #plan(request: SeriesRequest | LabelNamesRequest, context: ProxyContext): Plan | undefined {
    const { selectorLabels, tsdbSelector } = this.#options;
    const matchers = matchExternalLabels(request.matchers, selectorLabels);
    if (matchers === undefined) return undefined;
    const isSeries = 'aggregates' in request;
    if (isSeries && matchers.length === 0) {
      throw new BadInputError('no matchers specified (excluding selector labels)');
    }
    const all = this.#options.endpoints();
    const aborts = request.partialResponse === PartialResponse.Abort;
    if (isSeries && all.length === 0 && aborts) {
      throw new UnavailableError('No StoreAPIs available');
    }
    const { mint, maxt } = request;
    const storeMatchers = context.storeMatchers ?? [];
    const chosen = chooseEndpoints(all, { mint, maxt, matchers, storeMatchers }, tsdbSelector);
    const lost: string[] = [];
    const asked = chosen.endpoints.filter((endpoint) => {
      if (endpoint.lost === undefined) return true;
      const reason = `${describeEndpoint(endpoint)} is not available: ${endpoint.lost}`;
      report(endpoint, request, context, reason);
      if (!aborts) lost.push(reason);
      return false;
    });
    return { asked, lost, matchers: [...matchers, ...chosen.extraMatchers] };
  }
}

interface Plan {
  readonly asked: readonly ProxyEndpoint[];
  /** Warnings for the endpoints that cannot be asked. */
  readonly lost: readonly string[];
  readonly matchers: readonly Matcher[];
}

function report(
  { address, store }: ProxyEndpoint,
  request: { readonly mint: number; readonly maxt: number },
  context: ProxyContext,
  reason: string,
): void {
  const info = store.info();
  context.onMissing?.({
    address,
    labelSets: info.labelSets,
    mint: Math.max(info.mint, request.mint),
    maxt: Math.min(info.maxt, request.maxt),
    reason,
  });
}

function* batches(
  merged: Iterable<StoreSeries>,
  size: number,
  limit: number,
): Generator<SeriesBatch> {
  let batch: StoreSeries[] = [];
  let count = 0;
  for (const series of merged) {
    if (limit > 0 && count === limit) break;
    count++;
    batch.push(series);
    if (batch.length < size) continue;
    yield { series: batch, warnings: [] };
    batch = [];
  }
  if (batch.length > 0) yield { series: batch, warnings: [] };
}
