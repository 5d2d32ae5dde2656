import { BadInputError, LimitError, messageOf } from '#/lib/errors.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import type { QueryContext, Queryable } from '#/storage/queryable.ts';
import type { QueryEngine } from '../engine.ts';
import { EvaluationError } from '../evaluation-error.ts';
import type { Evaluation, MatrixSeries, QueryValue } from '../value.ts';
import { atVariants } from './at-variants.ts';
import type { EvalCommand, TextPattern } from './commands.ts';
import { compareValue, whyUnsorted } from './compare.ts';

/** What scripts ask of an engine. */
export type TestedEngine = Pick<QueryEngine, 'instant' | 'range'>;

/**
 * Runs one `eval` as upstream does: an instant query also with its selectors pinned by `@` at other
 * times, and each of these as the middle step of a range query. Returns what is wrong, or `undefined`.
 */
export async function evaluate(
  command: EvalCommand,
  engine: TestedEngine,
  storage: Queryable,
): Promise<string | undefined> {
  const run = new Run(command, engine, storage);
  const { timeMs, text } = command;
  if (timeMs === undefined) return run.range();
  for (const query of [{ text, timeMs }, ...atVariants(text, timeMs)]) {
    const problem = await run.instant(query);
    if (problem !== undefined) return `${problem}\n    in ${query.text} at ${query.timeMs} ms`;
  }
  return undefined;
}

interface InstantQuery {
  readonly text: string;
  readonly timeMs: number;
}

/** Functions of the query's own times, which differ in a range query. */
const OF_QUERY = /(start|end|range|step)\(\)/;

class Run {
  readonly #command: EvalCommand;
  readonly #engine: TestedEngine;
  readonly #storage: Queryable;

  constructor(command: EvalCommand, engine: TestedEngine, storage: Queryable) {
    this.#command = command;
    this.#engine = engine;
    this.#storage = storage;
  }

  async range(): Promise<string | undefined> {
    const { text, steps } = this.#command;
    return this.#check(text, (context) =>
      this.#engine.range({ text, ...steps }, this.#storage, context),
    );
  }

  async instant(query: InstantQuery): Promise<string | undefined> {
    const problem = await this.#check(query.text, (context) =>
      this.#engine.instant(query, this.#storage, context),
    );
    const { alsoAsRange, expected } = this.#command;
    const isSpecial = expected.fail !== undefined || OF_QUERY.test(query.text);
    if (problem !== undefined || isSpecial || !alsoAsRange) return problem;
    return this.#middleOfRange(query);
  }

  async #check(
    text: string,
    evaluateQuery: (context: QueryContext) => Promise<Evaluation>,
  ): Promise<string | undefined> {
    const { fail } = this.#command.expected;
    let evaluation: Evaluation;
    try {
      evaluation = await evaluateQuery(newContext());
    } catch (thrown) {
      return fail === undefined || !isQueryError(thrown)
        ? `error evaluating ${text}: ${traceOf(thrown)}`
        : checkError(fail, messageOf(thrown));
    }
    if (fail !== undefined) return 'expected error but got none';
    return this.#checkAnnotations(evaluation) ?? compareValue(this.#command, evaluation.value);
  }

  #checkAnnotations({ promqlWarnings, promqlInfos }: Evaluation): string | undefined {
    const { warnings, infos, noWarnings, noInfos } = this.#command.expected;
    if (noWarnings && promqlWarnings.length > 0) {
      return `unexpected warnings: ${promqlWarnings.join('; ')}`;
    }
    if (noInfos && promqlInfos.length > 0) return `unexpected infos: ${promqlInfos.join('; ')}`;
    return checkTexts('warn', warnings, promqlWarnings) ?? checkTexts('info', infos, promqlInfos);
  }

  async #middleOfRange({ text, timeMs }: InstantQuery): Promise<string | undefined> {
    const query = { text, startMs: timeMs - 60_000, endMs: timeMs + 60_000, stepMs: 60_000 };
    let value: QueryValue;
    try {
      ({ value } = await this.#engine.range(query, this.#storage, newContext()));
    } catch (thrown) {
      return `error evaluating in range mode: ${traceOf(thrown)}`;
    }
    // Range results are sorted by labels, whatever the order at one instant.
    if (this.#command.expected.ordered) return undefined;
    if (value.kind !== 'matrix') return `a range query gave a ${value.kind}`;
    const problem =
      whyUnsorted(value.series) ?? compareValue(this.#command, this.#at(timeMs, value.series));
    return problem === undefined ? undefined : `${problem} (in range mode)`;
  }

  #at(timeMs: number, series: readonly MatrixSeries[]): QueryValue {
    if (this.#command.expected.scalar !== undefined) {
      const first = series[0];
      const value = first?.values[first.times.indexOf(timeMs)] ?? Number.NaN;
      return { kind: 'scalar', timeMs, value };
    }
    const samples = series.flatMap(({ labels, times, values, histogramTimes, histograms }) => {
      const float = times.indexOf(timeMs);
      if (float >= 0) return [{ labels, timeMs, value: values[float]! }];
      const histogram = histograms[histogramTimes.indexOf(timeMs)];
      return histogram === undefined ? [] : [{ labels, timeMs, value: 0, histogram }];
    });
    return { kind: 'vector', samples };
  }
}

function newContext(): QueryContext {
  return { signal: new AbortController().signal, budget: unlimitedBudget() };
}

function checkError(patterns: readonly TextPattern[], message: string): string | undefined {
  const unmet = patterns.find((pattern) => !pattern.matches(message));
  return unmet === undefined ? undefined : `expected error "${unmet.text}" but got: ${message}`;
}

function checkTexts(
  type: string,
  expected: readonly TextPattern[],
  actual: readonly string[],
): string | undefined {
  if (expected.length === 0) return undefined;
  const found = actual.length === 0 ? 'none' : actual.join('; ');
  const unmet = expected.find((pattern) => !actual.some((text) => pattern.matches(text)));
  if (unmet !== undefined || actual.length === 0) {
    return `expected ${type} annotation "${unmet?.text ?? ''}" but found: ${found}`;
  }
  const unexpected = actual.find((text) => !expected.some((pattern) => pattern.matches(text)));
  return unexpected === undefined ? undefined : `unexpected ${type} annotation: ${unexpected}`;
}

/** What a query may throw; anything else is a bug of the engine. */
function isQueryError(thrown: unknown): boolean {
  return (
    thrown instanceof BadInputError ||
    thrown instanceof EvaluationError ||
    thrown instanceof LimitError
  );
}

function traceOf(thrown: unknown): string {
  if (isQueryError(thrown) || !(thrown instanceof Error)) return messageOf(thrown);
  return thrown.stack?.split('\n').slice(0, 3).join(' ') ?? thrown.message;
}
