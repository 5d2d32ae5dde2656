import { EvaluationError } from '../evaluation-error.ts';
import { METRIC_NAME } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { SelectRequest } from '#/storage/queryable.ts';
import type { InfoNode, SelectorNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import { failSameLabels } from './merged-series.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { columnBytes } from './query-run.ts';
import { SelectorOperator } from './selector.ts';

const identifyingLabels = ['instance', 'job'];
const identifying = new Set(identifyingLabels);

interface InfoSeries {
  readonly labels: Labels;
  /** The time of the sample that counts at each step, in seconds; absent where there is none. */
  readonly times: StepColumn;
}

/**
 * `info(v, selector)`: adds the labels of the info series with the same instance and job. Which info
 * series counts may change from step to step, and so may the labels of the result: one input gives
 * as many outputs as there are label sets.
 * Semantics: promql/info.go in Prometheus.
 */
export class InfoOperator implements Operator {
  readonly #node: InfoNode;
  readonly #base: Operator;
  readonly #run: QueryRun;
  #outputs: readonly { readonly labels: Labels; readonly column: StepColumn }[] = [];

  constructor(node: InfoNode, base: Operator, run: QueryRun) {
    this.#node = node;
    this.#base = base;
    this.#run = run;
  }

  async open(): Promise<readonly OutputSeries[]> {
    const base = await this.#base.open();
    const nameMatchers = effectiveNameMatchers(this.#nameMatchers());
    const isInfo = (labels: Labels): boolean =>
      nameMatchers.every((matcher) => matcher.matches(labels.get(METRIC_NAME)));
    const infos = await this.#readInfos(base, nameMatchers, isInfo);
    const outputs = new Map<string, { labels: Labels; dropName: boolean; column: StepColumn }>();
    await this.#base.readAhead?.([...base.keys()]);
    const column = new StepColumn(this.#node.grid.steps);
    for (const [index, { labels, dropName }] of base.entries()) {
      this.#base.read(index, column);
      const candidates = isInfo(labels) ? undefined : this.#candidatesFor(labels, infos);
      for (let step = 0; step < column.steps; step++) {
        if (column.present[step] === 0) continue;
        const enriched = candidates === undefined ? labels : this.#enrich(labels, candidates, step);
        if (enriched === undefined) continue;
        let output = outputs.get(enriched.key);
        if (output === undefined) {
          this.#run.reserve(columnBytes(column.steps));
          output = { labels: enriched, dropName, column: new StepColumn(column.steps) };
          outputs.set(enriched.key, output);
        }
        copySample(column, step, output.column);
      }
      if (this.#run.isDue) await this.#run.pause();
    }
    this.#outputs = [...outputs.values()];
    return [...outputs.values()];
  }

  read(index: number, into: StepColumn): void {
    into.copyFrom(this.#outputs[index]!.column);
  }

  #nameMatchers(): readonly Matcher[] {
    const { matchers } = this.#node;
    if (matchers === undefined) return [newMatcher('=', METRIC_NAME, 'target_info')];
    return matchers.filter(({ name }) => name === METRIC_NAME);
  }

  /** Conditions on data labels, which also say which labels are wanted. */
  #dataMatchers(): readonly Matcher[] {
    return (this.#node.matchers ?? []).filter(({ name }) => name !== METRIC_NAME);
  }

  async #readInfos(
    base: readonly OutputSeries[],
    nameMatchers: readonly Matcher[],
    isInfo: (labels: Labels) => boolean,
  ): Promise<readonly InfoSeries[]> {
    const enrichable = base.filter(({ labels }) => !isInfo(labels));
    const matchers = identifyingLabels.flatMap((name) => {
      const values = new Set(enrichable.map(({ labels }) => labels.get(name)));
      values.delete('');
      return values.size === 0
        ? []
        : [newMatcher('=~', name, [...values].map(quoteMeta).join('|'))];
    });
    if (matchers.length === 0) return [];
    const node = this.#selectorNode([...matchers, ...this.#dataMatchers(), ...nameMatchers]);
    const selector = new SelectorOperator({ ...node, output: 'timestamp' }, this.#run);
    const values = new SelectorOperator(node, this.#run);
    const [series] = await Promise.all([selector.open(), values.open()]);
    const infos: InfoSeries[] = [];
    for (const [index, { labels }] of series.entries()) {
      this.#run.reserve(columnBytes(this.#node.grid.steps));
      const times = new StepColumn(this.#node.grid.steps);
      values.read(index, times);
      if (times.histograms !== undefined) {
        const name = labels.toString();
        throw new EvaluationError(`this should be an info metric, with float samples: ${name}`);
      }
      selector.read(index, times);
      infos.push({ labels, times });
      if (this.#run.isDue) await this.#run.pause();
    }
    return infos;
  }

  #selectorNode(matchers: readonly Matcher[]): SelectorNode {
    const { grid, position, atMs, offsetMs, lookbackMs } = this.#node;
    const first = atMs ?? grid.startMs;
    const last = atMs ?? grid.startMs + (grid.steps - 1) * grid.stepMs;
    const request: SelectRequest = {
      matchers,
      mint: first - lookbackMs + 1 - offsetMs,
      maxt: last - offsetMs,
      hints: { stepMs: grid.stepMs, rangeMs: 0, lookbackMs, func: 'info', limit: 0 },
    };
    const shift = { atMs, offsetMs };
    const output = 'value';
    const rest = {
      request,
      lookbackMs,
      smoothed: false,
      histogramStats: false,
      output,
      position,
      grid,
    } as const;
    return { kind: 'selector', ...shift, ...rest };
  }

  /** The info series with the identifying labels of a base series, by their metric. */
  #candidatesFor(labels: Labels, infos: readonly InfoSeries[]): Map<string, InfoSeries[]> {
    const { key } = labels.only(identifying);
    const candidates = new Map<string, InfoSeries[]>();
    for (const info of infos) {
      if (info.labels.only(identifying).key !== key) continue;
      const metric = info.labels.get(METRIC_NAME);
      candidates.set(metric, [...(candidates.get(metric) ?? []), info]);
    }
    return candidates;
  }

  /** The labels of a base sample at a step; `undefined` if it has to go. */
  #enrich(
    base: Labels,
    candidates: ReadonlyMap<string, readonly InfoSeries[]>,
    step: number,
  ): Labels | undefined {
    const dataMatchers = this.#dataMatchers();
    const wanted = new Set(dataMatchers.map(({ name }) => name));
    const added = new Map<string, string>();
    let found = false;
    for (const infos of candidates.values()) {
      const info = newestAt(infos, step);
      if (info === undefined) continue;
      found = true;
      for (const { name, value } of info.labels) {
        if (name === METRIC_NAME || (wanted.size > 0 && !wanted.has(name))) continue;
        const other = added.get(name);
        if (other !== undefined && other !== value) {
          throw new EvaluationError(`conflicting label: ${name}`);
        }
        if (!base.has(name)) added.set(name, value);
      }
    }
    if (!found && !dataMatchers.every((matcher) => matcher.matches(''))) return undefined;
    return base.merge(Array.from(added, ([name, value]) => ({ name, value })));
  }
}

/** Of several series of an info metric the one with the newest sample. */
function newestAt(infos: readonly InfoSeries[], step: number): InfoSeries | undefined {
  let newest: InfoSeries | undefined;
  for (const info of infos) {
    if (info.times.present[step] === 0) continue;
    if (newest === undefined) {
      newest = info;
      continue;
    }
    const [known, other] = [newest.times.values[step]!, info.times.values[step]!];
    if (known === other) failDuplicateInfo(newest, info, known);
    if (other > known) newest = info;
  }
  return newest;
}

function failDuplicateInfo(a: InfoSeries, b: InfoSeries, seconds: number): never {
  const time = Math.round(seconds * 1000);
  const [first, second] = [a, b].map(({ labels }) => `${labels.toString()} @ ${time}`);
  throw new EvaluationError(
    `found duplicate series for info metric: existing ${first}, new ${second}`,
  );
}

/** Without a positive condition on the name, it is that of any info metric. */
function effectiveNameMatchers(matchers: readonly Matcher[]): readonly Matcher[] {
  if (matchers.some(({ type }) => type === '=' || type === '=~')) return matchers;
  if (matchers.length > 0) return [newMatcher('=~', METRIC_NAME, '.+_info'), ...matchers];
  return [newMatcher('=', METRIC_NAME, 'target_info')];
}

function quoteMeta(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, String.raw`\$&`);
}

function copySample(from: StepColumn, step: number, into: StepColumn): void {
  if (into.present[step] === 1) failSameLabels();
  const histogram = from.histograms?.[step];
  if (histogram === undefined) into.setFloat(step, from.values[step]!);
  else into.setHistogram(step, histogram);
}
