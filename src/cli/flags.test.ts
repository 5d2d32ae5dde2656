import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BadInputError } from '#/lib/errors.ts';
import { configFlags, configSource, flag, flagTexts, parseFlags } from './flags.ts';

const table = {
  'http-address': flag.text({ help: 'Where to listen.', default: '0.0.0.0:10902' }),
  'query.timeout': flag.duration({ help: 'How long a query may take.', default: '2m' }),
  'query.replica-label': flag.list({ help: 'Replica labels.' }),
  'query.partial-response': flag.toggle({ help: 'Answer in part.', default: true }),
  'chunk-pool-size': flag.bytes({ help: 'Pool size.', default: '2GB' }),
  'log.level': flag.oneOf(['debug', 'info'], { help: 'Level.', default: 'info' }),
  'min-time': flag.time({ help: 'From.', default: '0000-01-01T00:00:00Z' }),
  ...configFlags('objstore.config', { help: 'Bucket.' }),
};
const parse = (...args: string[]) => parseFlags(table, args, ['query.mode']).values;

describe('parseFlags()', () => {
  test('gives the defaults', () => {
    const values = parse();
    assert.equal(values['http-address'], '0.0.0.0:10902');
    assert.equal(values['query.timeout'], 120_000);
    assert.deepEqual(values['query.replica-label'], []);
    assert.equal(values['query.partial-response'], true);
    assert.equal(values['chunk-pool-size'], 2 * 1024 ** 3);
    assert.equal(values['objstore.config'], undefined);
  });

  test('takes values behind = or as the next argument, and repeated flags', () => {
    const values = parse(
      '--query.replica-label=a',
      '--query.replica-label',
      'b',
      '--query.timeout',
      '30s',
    );
    assert.deepEqual(values['query.replica-label'], ['a', 'b']);
    assert.equal(values['query.timeout'], 30_000);
  });

  test('takes switches in both directions', () => {
    assert.equal(parse('--no-query.partial-response')['query.partial-response'], false);
    assert.equal(parse('--query.partial-response')['query.partial-response'], true);
  });

  test('takes times relative to now', () => {
    assert.equal(parse('--min-time=-2h')['min-time'](7_200_000), 0);
    assert.equal(parse('--min-time=1970-01-01T00:00:01Z')['min-time'](5), 1000);
  });

  const failures: [string[], string][] = [
    [['--query.timeot=1m'], 'unknown flag --query.timeot; did you mean --query.timeout?'],
    [
      ['--query.mode=distributed'],
      '--query.mode: a flag of Thanos that Hindsight does not have yet; remove it',
    ],
    [['--query.timeout=soon'], '--query.timeout: not a valid duration string: "soon"'],
    [['--query.timeout'], '--query.timeout: expected a value (DURATION)'],
    [['--log.level=loud'], '--log.level: must be one of debug, info, got "loud"'],
    [
      ['--chunk-pool-size=2'],
      '--chunk-pool-size: must be a size with a unit (B, KB, MB, GB, TB, PB, EB), got "2"',
    ],
    [['--http-address=a', '--http-address=b'], '--http-address: given 2 times; give it once'],
  ];
  for (const [args, message] of failures) {
    test(`refuses ${args.join(' ')}`, () => {
      assert.throws(() => parse(...args), new BadInputError(message));
    });
  }
});

test('flagTexts() writes values as one would write them', () => {
  const table = {
    timeout: flag.duration({ help: '', default: '2m' }),
    delta: flag.optionalDuration({ help: '' }),
    size: flag.bytes({ help: '', default: '250MB' }),
    label: flag.list({ help: '' }),
    wal: flag.toggle({ help: '', default: true }),
    ...configFlags('sd', { help: '' }),
  };
  const given = ['--label=a', '--label=b', '--timeout=90s', '--sd-file=sd.yml', '--size=1.5KB'];
  assert.deepEqual(flagTexts(table, parseFlags(table, given).values), {
    timeout: '1m30s',
    delta: '',
    size: '1536B',
    label: 'a,b',
    wal: 'true',
    sd: '',
    'sd-file': 'sd.yml',
  });
});

test('configSource() refuses a config given both in place and as a file', () => {
  const values = parse('--objstore.config=type: S3', '--objstore.config-file=bucket.yml');
  assert.throws(
    () => configSource(values['objstore.config'], values['objstore.config-file']),
    new BadInputError('--objstore.config and --objstore.config-file exclude each other; give one'),
  );
});
