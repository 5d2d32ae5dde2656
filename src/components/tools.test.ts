import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { BadInputError } from '#/lib/errors.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { nodeNet } from '#/lib/net.ts';
import { Labels } from '#/model/labels.ts';
import { stableEngineFeatures } from '#/promql/engine.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { runPromql, runPromqltest } from './tools.ts';
import type { OutputFormat, PromqlConfig, ToolEnvironment } from './tools.ts';

class Terminal {
  text = '';
  readonly disk = new MemoryDisk();

  environment(): ToolEnvironment {
    const { signal } = new AbortController();
    const write = (text: string) => void (this.text += text);
    return { clock: new ManualClock(), disk: this.disk, net: nodeNet, signal, write };
  }

  async writeFile(path: string, text: string): Promise<void> {
    await this.disk.write(path, Buffer.from(text));
  }
}

describe('promqltest', () => {
  const passing = 'load 1m\n  a 1 2 3\n\neval instant at 1m a\n  {__name__="a"} 2\n';

  test('says what passed in each file of a directory, and in all', async () => {
    const terminal = new Terminal();
    await terminal.writeFile('/scripts/a.test', passing);
    await terminal.writeFile('/scripts/b.test', passing);
    await terminal.writeFile('/scripts/README', 'not a script');
    assert.equal(
      await runPromqltest(
        { paths: ['/scripts'], storeSources: 0, workers: 0 },
        terminal.environment(),
      ),
      0,
    );
    const each = '/scripts/a.test: 1 passed, 0 failed\n/scripts/b.test: 1 passed, 0 failed\n';
    assert.equal(terminal.text, `${each}2 passed, 0 failed\n`);
  });

  test('shows what was expected and what came where an eval fails, and gives 1', async () => {
    const terminal = new Terminal();
    await terminal.writeFile('/a.test', `${passing}\neval instant at 1m sum(a)\n  {} 7\n`);
    assert.equal(
      await runPromqltest(
        { paths: ['/a.test'], storeSources: 0, workers: 0 },
        terminal.environment(),
      ),
      1,
    );
    assert.match(terminal.text, /^\/a\.test:7: sum\(a\)\n .*7.*2/);
    assert.ok(terminal.text.endsWith('1 passed, 1 failed\n'), terminal.text);
  });

  test('reads through as many stores as it is told to', async () => {
    const terminal = new Terminal();
    await terminal.writeFile('/a.test', passing);
    const config = { paths: ['/a.test'], storeSources: 2, workers: 0 };
    assert.equal(await runPromqltest(config, terminal.environment()), 0);
    assert.ok(terminal.text.endsWith('1 passed, 0 failed\n'), terminal.text);
  });

  test('evaluates on worker threads', async () => {
    const terminal = new Terminal();
    await terminal.writeFile(
      '/a.test',
      `${passing}\neval instant at 2m sum(rate(a[2m]))\n  {} 0.016666666666666666\n`,
    );
    const config = { paths: ['/a.test'], storeSources: 0, workers: 1 };
    assert.equal(await runPromqltest(config, terminal.environment()), 0, terminal.text);
  });

  test('a script that is none is a failure with its place', async () => {
    const terminal = new Terminal();
    await terminal.writeFile('/a.test', 'frobnicate\n');
    assert.equal(
      await runPromqltest(
        { paths: ['/a.test'], storeSources: 0, workers: 0 },
        terminal.environment(),
      ),
      1,
    );
    assert.ok(terminal.text.startsWith('/a.test:1: '), terminal.text);
  });

  test('refuses a file that is not there', async () => {
    await assert.rejects(
      runPromqltest(
        { paths: ['/none.test'], storeSources: 0, workers: 0 },
        new Terminal().environment(),
      ),
      new BadInputError('promqltest: no file /none.test'),
    );
  });
});

describe('promql', () => {
  async function run(
    query: string,
    output: OutputFormat,
    stepMs?: number,
    wanted: PromqlConfig['wanted'] = 'answer',
  ): Promise<string> {
    const terminal = new Terminal();
    const builder = new BlockBuilder();
    for (const [name, factor] of [
      ['a', 1],
      ['bc', -2],
    ] as const) {
      const samples = builder.samples(Labels.fromObject({ __name__: 'gauge', name }));
      for (let i = 0; i < 5; i++) samples.pushFloat(i * 60_000, i * factor);
    }
    const ulid = '01HWRY2K805NNDTFEKG2HVJKGG';
    await builder.write(terminal.disk, '/data', { ulid });
    await runPromql(
      {
        query,
        times: { startMs: 0, endMs: 240_000, stepMs },
        source: { directory: '/data' },
        wanted,
        output,
        lookbackMs: 60_000,
        workers: 0,
        features: stableEngineFeatures,
      },
      terminal.environment(),
    );
    return terminal.text;
  }

  test('prints a vector as a table', async () => {
    assert.equal(await run('gauge', 'table'), 'gauge{name="a"}   4\ngauge{name="bc"}  -8\n');
  });

  test('prints a matrix with a line a sample', async () => {
    assert.equal(
      await run('gauge{name="a"}', 'table', 120_000),
      'gauge{name="a"}\n' +
        '  1970-01-01T00:00:00.000Z  0\n  1970-01-01T00:02:00.000Z  2\n  1970-01-01T00:04:00.000Z  4\n',
    );
  });

  test('explains a query as a tree, with what the passes changed', async () => {
    const text = await run('sum(rate(gauge[5m])) / (1 + 1)', 'table', 60_000, 'explain');
    assert.match(text, /^\[binary\] \/\n├─ \[aggregate\] sum by \(\)\n│ {2}└─ \[range-call\] rate/);
    assert.match(text, /\n└─ \[number\] number 2\n/);
    assert.ok(text.endsWith('Passes that changed it: foldConstants\n'), text);
  });

  test('analyzes a query operator by operator', async () => {
    const text = await run('sum(gauge)', 'table', 60_000, 'analyze');
    const [head, sum, select] = text.split('\n');
    assert.match(head!, /^ +total +self +series +samples +bytes +operator$/);
    assert.match(sum!, /^ *[\d.]+(µs|ms) +[\d.]+(µs|ms) +1 +10 +\d+ +\[aggregate\] sum by \(\)$/);
    assert.match(select!, / 2 +10 +0 +└─ \[selector\] select /);
  });

  test('prints a sparkline a series, with its least and greatest value', async () => {
    assert.equal(
      await run('gauge', 'sparkline', 60_000),
      'gauge{name="a"}   ▁▃▅▇█  0 … 4\ngauge{name="bc"}  █▇▅▃▁  -8 … 0\n',
    );
  });

  test('leaves a blank in a sparkline where a series has no sample', async () => {
    assert.equal(
      await run('gauge != 2', 'sparkline', 60_000),
      'gauge{name="a"}   ▁▃ ▇█  0 … 4\ngauge{name="bc"}  █▇▅▃▁  -8 … 0\n',
    );
  });

  test('prints JSON as the HTTP API does, and annotations behind tables', async () => {
    const text = await run('scalar(gauge{name="a"})', 'json');
    assert.deepEqual(JSON.parse(text), {
      status: 'success',
      data: { resultType: 'scalar', result: [240, '4'] },
      warnings: [],
      infos: [],
    });
    assert.match(await run('rate(gauge[3m])', 'table'), /\n# PromQL info: .*\(1:6\)\n$/);
  });

  test('a directory without blocks is an error', async () => {
    await assert.rejects(
      runPromql(
        {
          query: 'a',
          features: stableEngineFeatures,
          times: { startMs: 0, endMs: 0, stepMs: undefined },
          source: { directory: '/none' },
          wanted: 'answer',
          output: 'table',
          lookbackMs: 0,
          workers: 0,
        },
        new Terminal().environment(),
      ),
      new BadInputError('--tsdb.path: expected a directory with blocks, found none in /none'),
    );
  });
});
