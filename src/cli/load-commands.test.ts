import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commands } from './commands.ts';
import { loadCommands } from './load-commands.ts';

test('loadCommands() gives a server by itself, as it stands among all commands', async () => {
  for (const name of ['sidecar', 'store', 'compact', 'query']) {
    const command = commands.find((one) => one.name === name);
    assert.deepEqual(await loadCommands([name, '--help']), [command]);
  }
});

test('loadCommands() gives all commands where there is a choice, or none', async () => {
  for (const argv of [['tools', 'bucket', 'ls'], ['--help'], ['storr'], []]) {
    assert.equal(await loadCommands(argv), commands);
  }
});
