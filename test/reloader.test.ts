import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { fetchInfo } from '#/storeapi/client.ts';
import {
  eventually,
  findProgram,
  getJson,
  startPrometheus,
  temporaryDirectory,
} from './support/servers.ts';
import { channelTo, noReloader, rules, startSidecar, untilReady } from './support/sidecar.ts';

const { signal } = new AbortController();
const skip = findProgram('prometheus') === undefined;

describe("a sidecar's reloader", { skip, timeout: 120_000 }, () => {
  test('replaces variables in the configuration and reloads when it or a rule changes', async () => {
    await using directory = await temporaryDirectory();
    const at = (name: string) => join(directory.path, name);
    await mkdir(at('rules'));
    await using prometheus = await startPrometheus({
      directory: directory.path,
      externalLabels: { replica: 'before' },
      flags: ['--web.enable-lifecycle'],
    });
    process.env['HINDSIGHT_TEST_REPLICA'] = 'after';
    const template = `global: {external_labels: {replica: $(HINDSIGHT_TEST_REPLICA)}}
rule_files: [${at('rules/*.yml')}]
`;
    await writeFile(at('template.yml.gz'), gzipSync(template));
    await using sidecar = await startSidecar(prometheus, {
      reloader: {
        ...noReloader,
        configFile: at('template.yml.gz'),
        outputFile: prometheus.configFile,
        ruleDirectories: [at('rules')],
      },
    });
    await untilReady(sidecar);
    using channel = channelTo(sidecar);
    await eventually('the new label', async () => {
      const { labelSets } = await fetchInfo(channel, { signal });
      return String(labelSets[0]) === '{replica="after"}' || undefined;
    });
    await writeFile(at('rules/one.yml'), rules);
    await eventually('the rule', async () => {
      const answer = JSON.stringify(await getJson(`${prometheus.url}/api/v1/rules`));
      return answer.includes('up:sum') || undefined;
    });
    assert.match(
      await sidecar.runtime.metrics.text(),
      /^thanos_sidecar_reloader_last_reload_successful 1$/m,
    );
  });

  test('reloads a process by its name with a signal', async () => {
    await using directory = await temporaryDirectory();
    const at = (name: string) => join(directory.path, name);
    const processName = `hs-${process.pid}`;
    await symlink(findProgram('prometheus')!, at(processName));
    await mkdir(at('rules'));
    await writeFile(at('rules/zero.yml'), 'groups: []');
    await using prometheus = await startPrometheus({
      binary: at(processName),
      directory: directory.path,
      externalLabels: { replica: '0' },
      config: `rule_files: [${at('rules/*.yml')}]`,
    });
    await using sidecar = await startSidecar(prometheus, {
      reloader: {
        ...noReloader,
        ruleDirectories: [at('rules')],
        method: 'signal',
        processName,
      },
    });
    await untilReady(sidecar);
    // Prometheus tells the time of its last reload in whole seconds.
    await new Promise((wake) => setTimeout(wake, 1100));
    await writeFile(at('rules/one.yml'), rules);
    await eventually('the reload is confirmed', async () => {
      const text = await sidecar.runtime.metrics.text();
      return /^thanos_sidecar_reloader_last_reload_successful 1$/m.test(text) || undefined;
    });
    const answer = JSON.stringify(await getJson(`${prometheus.url}/api/v1/rules`));
    assert.ok(answer.includes('up:sum'));
  });
});
