import { MemoryQueryable } from '#/storage/memory-queryable.ts';
import type { EngineOptions, QueryEngine } from './engine.ts';
import type { EvalCommand } from './testlang/commands.ts';
import { evaluate } from './testlang/evaluate.ts';
import { testEngineOptions } from './testlang/features.ts';
import { load } from './testlang/load.ts';
import { parseScript } from './testlang/parse-script.ts';

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
  readonly engine: (options: EngineOptions) => QueryEngine;
  /** Called for each failure as it comes. */
  readonly log?: (line: string) => void;
}

/**
 * Runs a script of Prometheus's PromQL test language (`load`, `clear`, `eval`) against an engine
 * over memory. A failing `eval` does not stop the script.
 * @throws BadInputError with `file` and line if the script itself is wrong.
 */
export async function runTestScript(
  text: string,
  file: string,
  { engine: newEngine, log }: TestRunner,
): Promise<TestResult> {
  const commands = parseScript(text, file);
  const engine = newEngine(testEngineOptions);
  let storage = new MemoryQueryable();
  let passed = 0;
  const failures: TestFailure[] = [];
  for (const command of commands) {
    if (command.kind === 'clear') storage = new MemoryQueryable();
    else if (command.kind === 'load') load(command, storage);
    else {
      const message = await evaluate(command, engine, storage);
      if (message === undefined) passed++;
      else failures.push(failureOf(command, message));
      if (message !== undefined) log?.(`${file}:${command.line}: ${command.text}\n    ${message}`);
    }
  }
  return { passed, failed: failures.length, failures };
}

function failureOf({ line, text }: EvalCommand, message: string): TestFailure {
  return { line, query: text, message };
}
