import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryLog } from '#/telemetry/logger.ts';
import { plainProgress, progressOf, TerminalBar } from './progress.ts';

/** What a terminal shows of a text that goes back to the beginning of lines and clears them. */
function shown(text: string): string {
  const lines = text.split('\n').map((line) => line.split('\r\u001b[K').at(-1)!);
  return lines.join('\n');
}

describe('progress of tools', () => {
  test('a bar stays below what else is written', () => {
    const written: string[] = [];
    const write = (text: string) => void written.push(text);
    const bar = new TerminalBar(write);
    bar.above(() => write('before\n'));
    const progress = bar.start('verifying', 2);
    progress.step('a');
    bar.above(() => write('a is broken\n'));
    assert.equal(
      shown(written.join('')),
      'before\na is broken\nverifying [###############...............] 1/2 a',
    );
    progress.step('b');
    progress.end();
    bar.above(() => write('after\n'));
    assert.equal(
      shown(written.join('')),
      `before\na is broken\nverifying [${'#'.repeat(30)}] 2/2 \nafter\n`,
    );
  });

  test('without a terminal there is a log line a block, also where the number comes late', () => {
    const log = new MemoryLog();
    const progress = progressOf(plainProgress(log), 'cleaning');
    progress.end();
    progress.step('a', 2);
    progress.step('b', 2);
    progress.end();
    progress.step('c', 1);
    assert.deepEqual(
      log.lines.map(({ message, fields }) => [message, fields['block'], fields['done']]),
      [
        ['cleaning', 'a', 1],
        ['cleaning', 'b', 2],
        ['cleaning', 'c', 1],
      ],
    );
  });
});
