import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, describe, test } from 'node:test';
import { queryWorkers } from '#/components/query-workers.ts';
import { openStoreSources } from '#/components/tools.ts';
import { systemClock } from '#/lib/clock.ts';
import { Engine } from '#/promql/engine.ts';
import type { EngineOptions } from '#/promql/engine.ts';
import { runTestScript } from '#/promql/testlang.ts';
import type { TestRunner } from '#/promql/testlang.ts';

const runner = queryWorkers(2);
after(() => runner[Symbol.asyncDispose]());
const engine = (options: EngineOptions) => new Engine(options);
const shardingEngine = (options: EngineOptions) =>
  new Engine({ ...options, shards: { runner, minWork: 0, batchBytes: 1000 } });
const openSource: TestRunner['openSource'] = (loaded) => openStoreSources(loaded, 3, systemClock);

/** Where the engine finds the samples of a script, and who evaluates it. */
const sources: Readonly<Record<string, TestRunner>> = {
  'in memory': { engine },
  'over three stores': { engine, openSource },
  'over three stores, on two workers': { engine: shardingEngine, openSource },
};

const ownScripts = join(import.meta.dirname, 'promqltest');

for (const [where, source] of Object.entries(sources)) {
  describe(`our PromQL scripts, ${where}`, () => {
    for (const file of readdirSync(ownScripts).sort()) {
      test(file, async () => {
        const script = readFileSync(join(ownScripts, file), 'utf8');
        const { failures } = await runTestScript(script, file, source);
        assert.deepEqual(failures, []);
      });
    }
  });
}

/**
 * Prometheus's own scripts, where they lie beside the repository (`../shared`); elsewhere there is
 * nothing to run. `promqltest-floor.json` has how
 * many evals of each file must pass; UPDATE_FLOOR=1 raises it to what passes now, never lowers it.
 * SHOW_FAILURES=1 prints what fails and why.
 */
const folder = resolve(import.meta.dirname, '../../shared/conformance/promqltest');
const floorFile = join(import.meta.dirname, 'promqltest-floor.json');
const floor = readFloor();

for (const [where, source] of Object.entries(sources)) {
  describe(`upstream PromQL scripts, ${where}`, () => {
    const files = existsSync(folder) ? readdirSync(folder).sort() : [];
    const total = { passed: 0, failed: 0 };

    for (const file of files) {
      test(file, async (t) => {
        const script = readFileSync(join(folder, file), 'utf8');
        const result = await runTestScript(script, file, {
          log: (line) => process.env['SHOW_FAILURES'] && t.diagnostic(line),
          ...source,
        });
        t.diagnostic(`${file}: ${result.passed} passed, ${result.failed} failed`);
        total.passed += result.passed;
        total.failed += result.failed;
        const wanted = floor[file] ?? 0;
        floor[file] = Math.max(wanted, result.passed);
        assert.ok(result.passed >= wanted, `${result.passed} evals pass, ${wanted} passed before`);
      });
    }

    after(() => {
      const { passed, failed } = total;
      process.stdout.write(`# promqltest ${where}: ${passed} passed, ${failed} failed\n`);
    });
  });
}

after(() => {
  if (process.env['UPDATE_FLOOR']) writeFloor(floor);
});

function readFloor(): Record<string, number> {
  return JSON.parse(readFileSync(floorFile, 'utf8')) as Record<string, number>;
}

function writeFloor(floor: Readonly<Record<string, number>>): void {
  writeFileSync(floorFile, `${JSON.stringify(floor, undefined, 2)}\n`);
}
