import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from './pino-log.ts';

test('logfmt lines quote what needs it and give an error with its causes', () => {
  const lines: string[] = [];
  const log = openLog({ level: 'info', format: 'logfmt', write: (line) => lines.push(line) });
  const cause = new Error('connection refused');
  log
    .with({ component: 'store' })
    .warn('sync failed', { err: new Error('list', { cause }), tries: 3 });
  log.debug('unseen');
  assert.equal(lines.length, 1);
  assert.match(
    lines[0]!,
    /^ts=\S+ level=warn msg="sync failed" component=store err="list: connection refused" tries=3\n$/,
  );
});

test('json lines are objects', () => {
  const lines: string[] = [];
  openLog({ level: 'info', format: 'json', write: (line) => lines.push(line) }).info('started', {
    port: 1,
  });
  const { ts, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
  assert.equal(typeof ts, 'string');
  assert.deepEqual(rest, { level: 'info', msg: 'started', port: 1 });
});
