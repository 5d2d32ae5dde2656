import type { SelectRequest, SourceReport } from '#/storage/queryable.ts';
import type { Operator, OutputSeries } from './engine/operator.ts';
import { explainNode } from './explain.ts';
import type { ExplainedNode } from './explain.ts';
import type { PlanNode } from './planner/nodes.ts';
import { childrenOf } from './planner/print-plan.ts';
import type { StepColumn } from './step-column.ts';

/** What an operator did and how long that took. */
export interface OperatorAnalysis extends ExplainedNode {
  /** While it was being opened or read, by the clock on the wall. */
  readonly totalMs: number;
  /**
   * The part of `totalMs` in which none of its children was being opened or read. In a read that is
   * its own work and nothing else; in its opening also what it waited for, storage or its turn on the
   * thread. Operators that wait at once have that time each, so a tree's can add up to more than the
   * whole took.
   */
  readonly selfMs: number;
  /** How many series it gives, those without any sample included. */
  readonly series: number;
  /** Samples that selectors handed on, here and below; as the query's statistics count them. */
  readonly totalSamples: number;
  /** The most samples at once in an operator, here or below. */
  readonly peakSamples: number;
  /** The most that this operator itself, without its children, held of the query's memory at once. */
  readonly peakBytes: number;
  /** Who answered its request. Operators that share a request have the same. */
  readonly sources: readonly SourceReport[];
  readonly children: readonly OperatorAnalysis[];
}

/**
 * Watches the operators of one query. It knows which operator is a child of which because a plan's
 * operators are made from the top down, and whose bytes and samples are counted because each has a
 * `QueryRun` of its own. Costs four readings of the clock a series and operator.
 */
export class Analysis {
  readonly #elapsedMs: () => number;
  readonly #top: OperatorRecord[] = [];
  readonly #sources = new Map<SelectRequest, SourceReport[]>();
  readonly #startMs: number;
  #making: OperatorRecord | undefined;

  /** `elapsedMs` is a clock that never goes back, finer than a millisecond. */
  constructor(elapsedMs: () => number) {
    this.#elapsedMs = elapsedMs;
    this.#startMs = elapsedMs();
  }

  /**
   * The operator that `make` makes of `node`, watched; its children are those made meanwhile. It
   * counts bytes and samples in the record.
   */
  observe(node: PlanNode, make: (record: OperatorRecord) => Operator): Operator {
    const parent = this.#making;
    const record = new OperatorRecord(node, parent);
    (parent?.children ?? this.#top).push(record);
    this.#making = record;
    try {
      return new WatchedOperator(make(record), record, this);
    } finally {
      this.#making = parent;
    }
  }

  addSource(request: SelectRequest, report: SourceReport): void {
    const known = this.#sources.get(request);
    if (known === undefined) this.#sources.set(request, [report]);
    else known.push(report);
  }

  begin(record: OperatorRecord): void {
    const now = this.#elapsedMs();
    record.own.begin(now);
    record.parent?.below.begin(now);
  }

  end(record: OperatorRecord): void {
    const now = this.#elapsedMs();
    record.own.end(now);
    record.parent?.below.end(now);
  }

  /** What was seen until now of the query whose plan is `plan`; `totalSamples` are the query's. */
  result(plan: PlanNode, totalSamples: number): OperatorAnalysis {
    const [first] = this.#top;
    const root = first?.node === plan ? this.#analysisOf(first) : this.#withoutOperator(plan);
    return { ...root, totalSamples, sources: [...root.sources, ...this.#unclaimed(root)] };
  }

  #analysisOf(record: OperatorRecord): OperatorAnalysis {
    const children = inOrder(record).map((child) => this.#analysisOf(child));
    const explained = explainNode(record.node);
    return {
      ...explained,
      totalMs: record.own.totalMs,
      selfMs: record.own.totalMs - record.below.totalMs,
      series: record.series,
      totalSamples: children.reduce((sum, child) => sum + child.totalSamples, record.samples),
      peakSamples: Math.max(record.peakSamples, ...children.map((child) => child.peakSamples)),
      peakBytes: record.peakBytes,
      sources: this.#sourcesOf(explained),
      children,
    };
  }

  /** A string, or the samples of a range vector: the engine reads these itself. */
  #withoutOperator(plan: PlanNode): OperatorAnalysis {
    const children = this.#top.map((record) => this.#analysisOf(record));
    const explained = explainNode(plan);
    const totalMs = this.#elapsedMs() - this.#startMs;
    return {
      ...explained,
      totalMs,
      selfMs: children.reduce((rest, child) => rest - child.totalMs, totalMs),
      series: 0,
      totalSamples: children.reduce((sum, child) => sum + child.totalSamples, 0),
      peakSamples: Math.max(0, ...children.map((child) => child.peakSamples)),
      peakBytes: 0,
      sources: this.#sourcesOf(explained),
      children,
    };
  }

  #sourcesOf({ request }: ExplainedNode): readonly SourceReport[] {
    return (request && this.#sources.get(request)) ?? [];
  }

  /** Answers to requests that only came up while the query ran. */
  #unclaimed(root: OperatorAnalysis): readonly SourceReport[] {
    const planned = new Set(requestsOf(root));
    return [...this.#sources].flatMap(([request, reports]) =>
      planned.has(request) ? [] : reports,
    );
  }
}

/** What is written down of one operator. */
export class OperatorRecord {
  readonly node: PlanNode;
  readonly parent: OperatorRecord | undefined;
  readonly children: OperatorRecord[] = [];
  readonly own = new Stopwatch();
  /** Runs while any child does. */
  readonly below = new Stopwatch();
  series = 0;
  samples = 0;
  peakSamples = 0;
  peakBytes = 0;
  #bytes = 0;

  constructor(node: PlanNode, parent: OperatorRecord | undefined) {
    this.node = node;
    this.parent = parent;
  }

  countSamples(count: number): void {
    this.samples += count;
  }

  touchSamples(count: number): void {
    if (count > this.peakSamples) this.peakSamples = count;
  }

  reserve(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.peakBytes) this.peakBytes = this.#bytes;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** The children as the plan has them, however they were made. */
function inOrder({ node, children }: OperatorRecord): readonly OperatorRecord[] {
  const order = childrenOf(node);
  return children.toSorted((a, b) => order.indexOf(a.node) - order.indexOf(b.node));
}

/** Measures the time in which at least one of several, perhaps nested, pieces of work goes on. */
class Stopwatch {
  totalMs = 0;
  #running = 0;
  #sinceMs = 0;

  begin(nowMs: number): void {
    if (this.#running++ === 0) this.#sinceMs = nowMs;
  }

  end(nowMs: number): void {
    if (--this.#running === 0) this.totalMs += nowMs - this.#sinceMs;
  }
}

class WatchedOperator implements Operator {
  readonly #inner: Operator;
  readonly #record: OperatorRecord;
  readonly #analysis: Analysis;

  constructor(inner: Operator, record: OperatorRecord, analysis: Analysis) {
    this.#inner = inner;
    this.#record = record;
    this.#analysis = analysis;
  }

  async open(): Promise<readonly OutputSeries[]> {
    this.#analysis.begin(this.#record);
    try {
      const series = await this.#inner.open();
      this.#record.series = series.length;
      return series;
    } finally {
      this.#analysis.end(this.#record);
    }
  }

  read(index: number, into: StepColumn): void {
    this.#analysis.begin(this.#record);
    try {
      this.#inner.read(index, into);
    } finally {
      this.#analysis.end(this.#record);
    }
  }
}

function requestsOf({ request, children }: OperatorAnalysis): SelectRequest[] {
  return [...(request === undefined ? [] : [request]), ...children.flatMap(requestsOf)];
}
