import { LimitError } from '#/lib/errors.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import type { MemoryBudget } from '#/lib/memory-budget.ts';
import type { QueryContext, Queryable, SelectRequest, Series } from '#/storage/queryable.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import type { Analysis, OperatorRecord } from '../analysis.ts';
import { Annotations } from '../annotations.ts';
import type { TakenNotes } from '../annotations.ts';
import type { Shards } from '../shards.ts';
import type { StepColumn } from '../step-column.ts';

/**
 * What the operators of one evaluation share: its sources, its limits and its messages. An operator
 * of an analysed query has a run of its own for the same evaluation, which also writes down what it
 * does; see `countedFor`.
 */
export class QueryRun {
  readonly annotations: Annotations;
  readonly flags: RunFlags;
  /** Where parts of the plan may be evaluated elsewhere. */
  readonly shards: Shards | undefined;
  /** Who watches the operators; nobody unless the query asks for it. */
  readonly analysis: Analysis | undefined;
  readonly #options: RunOptions;
  readonly #queryable: Queryable;
  readonly #context: QueryContext;
  readonly #maxSamples: number;
  readonly #state: RunState;
  readonly #record: OperatorRecord | undefined;

  constructor(options: RunOptions, state = new RunState(), record?: OperatorRecord) {
    this.annotations = state.annotations;
    this.flags = options.flags;
    this.shards = options.shards;
    this.analysis = options.analysis;
    this.#options = options;
    this.#queryable = options.queryable;
    this.#context = options.context;
    this.#maxSamples = options.maxSamples > 0 ? options.maxSamples : Number.POSITIVE_INFINITY;
    this.#state = state;
    this.#record = record;
  }

  /** This evaluation for one operator: bytes and samples count in its `record`, and for no other. */
  countedFor(record: OperatorRecord): QueryRun {
    return new QueryRun(this.#options, this.#state, record);
  }

  get delayedNameRemoval(): boolean {
    return this.flags.delayedNameRemoval;
  }

  get typeAndUnitLabels(): boolean {
    return this.flags.typeAndUnitLabels;
  }

  get startTimestamps(): boolean {
    return this.flags.startTimestamps;
  }

  /** Equal requests, by identity, are asked once. */
  select(request: SelectRequest): Promise<readonly Series[]> {
    let answer = this.#state.answers.get(request);
    if (answer === undefined) {
      answer = this.#ask(request);
      this.#state.answers.set(request, answer);
    }
    return answer;
  }

  async #ask(request: SelectRequest): Promise<readonly Series[]> {
    this.throwIfAborted();
    try {
      const context = this.#contextOf(request);
      const { series, warnings, infos } = await this.#queryable.select(request, context);
      for (const warning of warnings) this.#state.warnings.add(warning);
      for (const info of infos ?? []) this.#state.infos.add(info);
      return series;
    } catch (thrown) {
      this.throwIfAborted();
      throw thrown;
    }
  }

  #contextOf(request: SelectRequest): QueryContext {
    const { analysis } = this;
    if (analysis === undefined) return this.#context;
    return { ...this.#context, onSource: (report) => analysis.addSource(request, report) };
  }

  get warnings(): readonly string[] {
    return [...this.#state.warnings];
  }

  get infos(): readonly string[] {
    return [...this.#state.infos];
  }

  get totalSamples(): number {
    return this.#state.totalSamples;
  }

  get peakSamples(): number {
    return this.#state.peakSamples;
  }

  get peakBytes(): number {
    return this.#context.budget.peakBytes;
  }

  /** Notes work done, in samples or steps looked at: about 20 ns each. */
  spend(units: number): void {
    this.#state.work += units;
  }

  /** Whether it is time to let others run. Ask between two series, then `pause()`. */
  get isDue(): boolean {
    return this.#state.work >= WORK_BETWEEN_PAUSES || this.#state.awaited.size > 0;
  }

  /** Makes a pause due that ends when `ready` does, since what comes next is not there yet. */
  pauseFor(ready: Promise<unknown>): void {
    this.#state.awaited.add(ready);
  }

  /** @throws an AbortError or TimeoutError if the query has been aborted meanwhile. */
  async pause(): Promise<void> {
    const awaited = [...this.#state.awaited];
    this.#state.work = 0;
    this.#state.awaited.clear();
    if (awaited.length === 0) await nextTurn();
    else await this.wait(Promise.all(awaited));
    this.throwIfAborted();
  }

  /** What `work` comes to. @throws as `pause` does, at once. */
  async wait<T>(work: Promise<T>): Promise<T> {
    try {
      return await untilAborted(work, this.signal);
    } catch (thrown) {
      this.throwIfAborted();
      throw thrown;
    }
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }

  throwIfAborted(): void {
    const { signal } = this.#context;
    if (!signal.aborted) return;
    const cause: unknown = signal.reason;
    const timedOut = cause instanceof Error && cause.name === 'TimeoutError';
    const what = timedOut ? 'query timed out' : 'query was canceled';
    const error = new Error(`${what} in expression evaluation`, { cause });
    error.name = timedOut ? 'TimeoutError' : 'AbortError';
    throw error;
  }

  get budget(): MemoryBudget {
    return this.#context.budget;
  }

  /** Counts bytes that stay for longer than one series. */
  reserve(bytes: number): void {
    this.#context.budget.reserve(bytes);
    this.#record?.reserve(bytes);
  }

  release(bytes: number): void {
    this.#context.budget.release(bytes);
    this.#record?.release(bytes);
  }

  /** Counts samples that stay in memory. */
  holdSamples(count: number): void {
    this.touchSamples(count);
    this.#state.samples += count;
  }

  /** Checks the limit of samples with `count` more in memory for a moment. */
  touchSamples(count: number): void {
    const samples = this.#state.samples + count;
    if (samples > this.#maxSamples) {
      throw new LimitError(
        'query processing would load too many samples into memory in query execution',
      );
    }
    if (samples > this.#state.peakSamples) this.#state.peakSamples = samples;
    this.#record?.touchSamples(count);
  }

  /** Counts samples that selectors hand to operators, for the query's statistics. */
  countSamples(count: number): void {
    this.#state.totalSamples += count;
    this.#record?.countSamples(count);
  }

  /** Takes out what was counted and noted since the last time, to be added to another run. */
  takeEffects(): RunEffects {
    const [counted, touched] = [this.#state.totalSamples, this.#state.peakSamples];
    this.#state.totalSamples = 0;
    this.#state.peakSamples = 0;
    return { counted, touched, notes: this.annotations.take() };
  }

  /** As if what another run did had been done here. */
  addEffects({ counted, touched, notes }: RunEffects): void {
    this.countSamples(counted);
    this.touchSamples(touched);
    if (notes !== undefined) this.annotations.addAll(notes);
  }
}

/** What changes while an evaluation goes on. */
class RunState {
  readonly annotations = new Annotations();
  readonly answers = new Map<SelectRequest, Promise<readonly Series[]>>();
  readonly warnings = new Set<string>();
  readonly infos = new Set<string>();
  readonly awaited = new Set<Promise<unknown>>();
  work = 0;
  samples = 0;
  peakSamples = 0;
  totalSamples = 0;
}

/** What reading series does to its run. */
export interface RunEffects {
  /** Samples for `countSamples`, and the most at once for `touchSamples`. */
  readonly counted: number;
  readonly touched: number;
  readonly notes: TakenNotes | undefined;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Features that operators ask for; the names are those of `EngineFeatures`. */
export interface RunFlags {
  readonly delayedNameRemoval: boolean;
  readonly typeAndUnitLabels: boolean;
  readonly startTimestamps: boolean;
}

export interface RunOptions {
  readonly queryable: Queryable;
  readonly context: QueryContext;
  readonly maxSamples: number;
  readonly flags: RunFlags;
  readonly shards?: Shards | undefined;
  readonly analysis?: Analysis | undefined;
}

/** About 10 ms of work. */
const WORK_BETWEEN_PAUSES = 400_000;

/** Bytes of a column of floats. */
export function columnBytes(steps: number): number {
  return 9 * steps;
}

/** Samples of a column; a histogram counts for as many floats as its bytes make. */
export function samplesOf(column: StepColumn): number {
  let count = 0;
  for (let i = 0; i < column.steps; i++) count += column.present[i]!;
  for (const histogram of column.histograms ?? []) {
    if (histogram !== undefined) count += histogramSamples(histogram) - 1;
  }
  return count;
}

/** As HPoint.size of promql/value.go in Prometheus. */
export function histogramSamples(histogram: FloatHistogram): number {
  const { positiveSpans, negativeSpans, positiveBuckets, negativeBuckets, customValues } =
    histogram;
  const slots =
    positiveSpans.length +
    negativeSpans.length +
    positiveBuckets.length +
    negativeBuckets.length +
    customValues.length;
  return Math.floor((168 + 8 * slots + 8) / 16);
}
