import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { findProcess } from './reload-trigger.ts';
import { runReloader } from './reloader.ts';
import type { ReloaderConfig } from './reloader.ts';

const base: ReloaderConfig = {
  configFile: '/etc/prometheus.yml',
  outputFile: '',
  ruleDirectories: [],
  watchIntervalMs: 1000,
  retryIntervalMs: 100,
};

/** A reloader over files in memory; `failing` makes Prometheus refuse. */
function start(config: Partial<ReloaderConfig>, files: Record<string, string | Uint8Array>) {
  const disk = new MemoryDisk();
  const clock = new ManualClock(1_000_000);
  const metrics = new Metrics();
  const stop = new AbortController();
  const state = { reloads: 0, failing: false };
  const reload = async () => {
    state.reloads++;
    if (state.failing) throw new Error('refused');
  };
  const run = async () => {
    for (const [path, content] of Object.entries(files)) await put(path, content);
    await runReloader(
      { ...base, ...config },
      { method: 'http', reload },
      { HOSTNAME: 'pod-0' },
      { disk, clock, log: new MemoryLog(), metrics, signal: stop.signal },
    );
  };
  const put = (path: string, content: string | Uint8Array) =>
    disk.write(path, Buffer.from(content));
  const metric = async (name: string) =>
    Number(
      new RegExp(`^thanos_sidecar_reloader_${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(
        await metrics.text(),
      )![1],
    );
  const done = run();
  done.catch(() => undefined);
  return { disk, clock, state, metric, put, done, stop: () => stop.abort() };
}

async function text(disk: MemoryDisk, path: string): Promise<string> {
  return Buffer.from(await disk.read(path)).toString();
}

test('the configuration is applied at once, and again when its content changes', async () => {
  const { clock, state, put, metric, stop, done } = start({}, { '/etc/prometheus.yml': 'a: 1' });
  await clock.advance(0);
  assert.equal(state.reloads, 1);
  await put('/etc/prometheus.yml', 'a: 1');
  await clock.advance(0);
  assert.equal(state.reloads, 1, 'equal content is no change');
  await put('/etc/prometheus.yml', 'a: 2');
  await clock.advance(0);
  assert.equal(state.reloads, 2);
  assert.equal(await metric('reloads_total'), 2);
  assert.equal(await metric('last_reload_successful'), 1);
  assert.equal(await metric('last_reload_success_timestamp_seconds'), 1000);
  assert.equal(await metric('watches'), 1);
  assert.equal(await metric('info'), 1);
  stop();
  await done;
});

test('gzip and $(VARIABLES) are undone into the output file', async () => {
  const { clock, disk, put, stop, done } = start(
    { outputFile: '/out/prometheus.yml' },
    { '/etc/prometheus.yml': gzipSync('replica: $(HOSTNAME), $HOME') },
  );
  await clock.advance(0);
  assert.equal(await text(disk, '/out/prometheus.yml'), 'replica: pod-0, $HOME');
  await put('/etc/prometheus.yml', 'plain: $(HOSTNAME)');
  await clock.advance(0);
  assert.equal(await text(disk, '/out/prometheus.yml'), 'plain: pod-0');
  assert.ok(!disk.paths.includes('/out/prometheus.yml.tmp'));
  stop();
  await done;
});

test('an unset variable ends it at the start, and is only an error later', async () => {
  const output = { outputFile: '/out/prometheus.yml' };
  const first = start(output, { '/etc/prometheus.yml': 'a: $(NOPE)' });
  await assert.rejects(first.done, /\/etc\/prometheus\.yml: \$\(NOPE\) refers to .*not set/);
  assert.equal(await first.metric('config_environment_variable_expansion_errors'), 1);
  await assert.rejects(start({}, {}).done, { code: 'ENOENT' });

  const later = start(output, { '/etc/prometheus.yml': 'a: 1' });
  await later.clock.advance(0);
  await later.put('/etc/prometheus.yml', 'a: $(NOPE)');
  await later.clock.advance(0);
  assert.equal(await later.metric('config_apply_operations_failed_total'), 1);
  assert.equal(await text(later.disk, '/out/prometheus.yml'), 'a: 1');
  later.stop();
  await later.done;
});

test('rule files count at any depth, those in new directories too', async () => {
  const rules = { configFile: '', ruleDirectories: ['/rules'] };
  const { clock, state, put, disk, stop, done } = start(rules, { '/rules/one.yml': '1' });
  await clock.advance(0);
  await clock.advance(1000);
  assert.equal(state.reloads, 1, 'the first look reloads');
  await put('/rules/deep/two.yml', '2');
  await clock.advance(0);
  assert.equal(state.reloads, 2);
  await put('/rules/deep/two.yml', '3');
  await clock.advance(0);
  assert.equal(state.reloads, 3);
  await disk.rename('/rules/deep/two.yml', '/rules/deep/three.yml');
  await clock.advance(0);
  assert.equal(state.reloads, 4, 'a name is a change too');
  stop();
  await done;
});

test('a refused reload is tried again, and again after the watch interval', async () => {
  const { clock, state, put, metric, stop, done } = start({}, { '/etc/prometheus.yml': 'a: 1' });
  await clock.advance(0);
  state.failing = true;
  await put('/etc/prometheus.yml', 'a: 2');
  await clock.advance(0);
  await clock.advance(250);
  assert.equal(state.reloads, 4);
  assert.equal(await metric('last_reload_successful'), 0);
  await clock.advance(1000);
  state.failing = false;
  await clock.advance(1000);
  assert.equal(await metric('last_reload_successful'), 1);
  const reloads = state.reloads;
  await clock.advance(5000);
  assert.equal(state.reloads, reloads);
  stop();
  await done;
});

test('without a watch interval the output is written once and nothing reloads', async () => {
  const { disk, state, done } = start(
    { outputFile: '/out.yml', watchIntervalMs: 0 },
    { '/etc/prometheus.yml': '$(HOSTNAME)' },
  );
  await done;
  assert.equal(await text(disk, '/out.yml'), 'pod-0');
  assert.equal(state.reloads, 0);
});

test('a process is found by the name of its executable, as far as the kernel keeps it', async () => {
  const disk = new MemoryDisk();
  const comm = (pid: string, name: string) => disk.write(`/proc/${pid}/comm`, Buffer.from(name));
  await comm('7', 'sh\n');
  await comm('12', 'prometheus\n');
  await comm('13', 'prometheus-long\n');
  await comm('self', 'prometheus\n');
  await disk.makeDirectory('/proc/8');
  assert.equal(await findProcess(disk, 'prometheus'), 12);
  assert.equal(await findProcess(disk, 'prometheus-long-name'), 13);
  await assert.rejects(findProcess(disk, 'other'), /no process runs an executable named "other"/);
});
