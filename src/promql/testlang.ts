import { MemoryQueryable } from '#/storage/memory-queryable.ts';
import type { Queryable } from '#/storage/queryable.ts';
import type { EngineOptions } from './engine.ts';
import type { EvalCommand } from './testlang/commands.ts';
import { evaluate } from './testlang/evaluate.ts';
import type { TestedEngine } from './testlang/evaluate.ts';
import { testEngineOptions } from './testlang/features.ts';
import { load } from './testlang/load.ts';
import { parseScript } from './testlang/parse-script.ts';

export type { TestedEngine } from './testlang/evaluate.ts';

export interface TestFailure {
  /** Of the `eval`, from 1. */
  readonly line: number;
  readonly query: string;
  readonly message: string;
}

export interface TestResult {
  /** Numbers of `eval` commands. */
  readonly passed: number;
  readonly failed: number;
  readonly failures: readonly TestFailure[];
}

export interface TestRunner {
  /** Makes the engine to test; the script's queries use every feature. */
  readonly engine: (options: EngineOptions) => TestedEngine;
  /** Called for each failure as it comes. */
  readonly log?: (line: string) => void;
  /** Makes the source that queries read of what was loaded. Default: the samples in memory. */
  readonly openSource?: (loaded: MemoryQueryable) => Promise<TestSource>;
}

/** A source over what a script has loaded, until it loads or clears again. */
export interface TestSource extends AsyncDisposable {
  readonly queryable: Queryable;
}

/**
 * Runs a script of Prometheus's PromQL test language (`load`, `clear`, `eval`) against an engine
 * over memory. A failing `eval` does not stop the script.
 * @throws BadInputError with `file` and line if the script itself is wrong.
 */
export async function runTestScript(
  text: string,
  file: string,
  { engine: newEngine, log, openSource = inMemory }: TestRunner,
): Promise<TestResult> {
  const commands = parseScript(text, file);
  const engine = newEngine(testEngineOptions);
  let storage = new MemoryQueryable();
  let passed = 0;
  const failures: TestFailure[] = [];
  let source: TestSource | undefined;
  try {
    for (const command of commands) {
      if (command.kind !== 'eval') {
        await source?.[Symbol.asyncDispose]();
        source = undefined;
        if (command.kind === 'load') load(command, storage);
        else storage = new MemoryQueryable();
        continue;
      }
      source ??= await openSource(storage);
      const message = await evaluate(command, engine, source.queryable);
      if (message === undefined) passed++;
      else failures.push(failureOf(command, message));
      if (message !== undefined) log?.(`${file}:${command.line}: ${command.text}\n    ${message}`);
    }
  } finally {
    await source?.[Symbol.asyncDispose]();
  }
  return { passed, failed: failures.length, failures };
}

function inMemory(loaded: MemoryQueryable): Promise<TestSource> {
  return Promise.resolve({ queryable: loaded, [Symbol.asyncDispose]: () => Promise.resolve() });
}

function failureOf({ line, text }: EvalCommand, message: string): TestFailure {
  return { line, query: text, message };
}
