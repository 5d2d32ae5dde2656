import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { runCli } from '#/cli/cli.ts';
import { commands } from '#/cli/commands.ts';
import { startProcess } from '#/components/child-process.ts';
import type { ChildProcess } from '#/components/child-process.ts';
import { eventually, freePort, temporaryDirectory } from './support/servers.ts';

const hindsight = resolve(import.meta.dirname, '../bin/hindsight');
const anyPort = ['--http-address=127.0.0.1:0', '--grpc-address=127.0.0.1:0'];

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** A command line in this process. One that is taken for good runs until it is stopped after a while. */
async function cli(...args: readonly string[]): Promise<Outcome> {
  let out = '';
  let error = '';
  const terminal = {
    out: (text: string) => void (out += text),
    error: (text: string) => void (error += text),
  };
  const code = await runCli(commands, args, terminal, AbortSignal.timeout(5000));
  return { code, out, error };
}

/** The message of a command line that must be refused, without the command that opens it. */
async function refused(command: string, ...args: readonly string[]): Promise<string> {
  const { code, error } = await cli(command, ...anyPort, ...args);
  assert.equal(code, 2, error);
  assert.ok(error.startsWith(`hindsight ${command}: `), error);
  assert.ok(error.endsWith('\n') && !error.trim().includes('\n    at '), error);
  return error.slice(`hindsight ${command}: `.length, -1);
}

const bucket = '--objstore.config={type: FILESYSTEM, config: {directory: /tmp}}';

describe('a command line that cannot be understood', () => {
  test('names the nearest command, or all of them', async () => {
    assert.deepEqual(await cli('qery'), {
      code: 2,
      out: '',
      error: 'hindsight: unknown command "qery"; did you mean query?\n',
    });
    assert.match((await cli('frobnicate')).error, /use one of sidecar, store, compact, query/);
    assert.equal((await cli()).code, 2);
    assert.equal((await cli('--help')).code, 0);
    assert.equal((await cli('store', '--nonsense', '--help')).code, 0);
  });

  test('names the nearest flag, and flags of Thanos that are not there yet', async () => {
    const cases: [command: string, args: string[], message: RegExp | string][] = [
      [
        'store',
        ['--objstore.confg=x'],
        'unknown flag --objstore.confg; did you mean --objstore.config?',
      ],
      ['query', ['--query.replica-lable=x'], /did you mean --query.replica-label\?$/],
      ['query', ['--zzz'], 'unknown flag --zzz; see --help'],
      ['query', ['-x'], /^unknown flag/],
      ['query', ['--no-such-switch'], /^unknown flag --no-such-switch/],
      [
        'query',
        ['--tracing.config=x'],
        /^--tracing.config: a flag of Thanos that Hindsight does not have yet; remove it$/,
      ],
      ['store', ['--grpc-server-tls-cert=x'], /^--grpc-server-tls-cert: a flag of Thanos/],
      ['query', ['extra'], 'unexpected argument "extra"; see hindsight query --help'],
    ];
    for (const [command, args, message] of cases) await refusal(command, args, message);
  });

  test('says what a value should have been', async () => {
    const cases: [command: string, args: string[], message: RegExp | string][] = [
      ['query', ['--query.timeout=5'], '--query.timeout: not a valid duration string: "5"'],
      ['query', ['--query.timeout=-5s'], /^--query.timeout: not a valid duration/],
      [
        'query',
        ['--query.max-concurrent=many'],
        '--query.max-concurrent: must be a whole number, got "many"',
      ],
      [
        'query',
        ['--query.partial-response=maybe'],
        /^--query.partial-response: is a switch; write --query.partial-response or --no-/,
      ],
      [
        'query',
        ['--log.level=loud'],
        /^--log.level: must be one of debug, info, warn, error, got "loud"$/,
      ],
      ['query', ['--http-address'], /^--http-address: (expected a value|given)/],
      [
        'query',
        ['--deduplication.func=best'],
        /^--deduplication.func: must be one of .*, got "best"$/,
      ],
      [
        'query',
        ['--enable-feature=time-travel'],
        /^--enable-feature: unknown feature "time-travel"; use /,
      ],
      ['query', ['--selector-label=a'], /^--selector-label: /],
      [
        'query',
        ['--query.conn-metric.label=x'],
        /^--query.conn-metric.label: unknown label "x"; use /,
      ],
      ['query', ['--query.memory-limit=lots'], /^--query.memory-limit: /],
      [
        'store',
        [bucket, '--min-time=yesterday'],
        /^--min-time: must be an RFC 3339 time or a duration such as -2w, got "yesterday"$/,
      ],
      ['store', [bucket, '--index-cache-size=250 apples'], /^--index-cache-size: /],
      [
        'store',
        [bucket, '--block-discovery-strategy=guess'],
        /must be one of concurrent, recursive, bucket-index, got "guess"$/,
      ],
      ['sidecar', ['--prometheus.url=nowhere'], /^--prometheus.url: want a URL such as http:/],
    ];
    for (const [command, args, message] of cases) await refusal(command, args, message);
  });

  test('refuses addresses that nobody can listen at or dial', async () => {
    for (const [flag, address] of [
      ['http-address', 'nonsense'],
      ['grpc-address', '127.0.0.1:99999'],
      ['http-address', '::1:80'],
    ] as const) {
      const { code, error } = await cli('query', `--${flag}=${address}`);
      assert.equal(code, 2);
      assert.match(error, new RegExp(`--${flag}: address "${address}": want host:port`));
    }
    await refusal(
      'query',
      ['--endpoint=nowhere'],
      /^--endpoint: address "nowhere": want host:port/,
    );
    await refusal(
      'query',
      ['--endpoint=dns+nowhere'],
      /^--endpoint: address "nowhere": want host:port/,
    );
    await refusal('query', ['--endpoint-strict=dns+a:1'], /not permitted under strict mode/);
  });

  test('refuses flags that contradict each other or say too little', async () => {
    const cases: [command: string, args: string[], message: RegExp | string][] = [
      [
        'store',
        [bucket, '--objstore.config-file=/x'],
        '--objstore.config and --objstore.config-file exclude each other; give one',
      ],
      ['store', [], /^--objstore.config or --objstore.config-file is required/],
      [
        'query',
        ['--query.timeout=5s', '--query.timeout=6s'],
        '--query.timeout: given 2 times; give it once',
      ],
      [
        'query',
        ['--endpoint.sd-config={}', '--endpoint.sd-config-file=/x'],
        /exclude each other; give one$/,
      ],
    ];
    for (const [command, args, message] of cases) await refusal(command, args, message);
  });

  test('names files that cannot be read', async () => {
    const cases: [command: string, args: string[], message: RegExp | string][] = [
      [
        'store',
        ['--objstore.config-file=/no/such.yaml'],
        /^--objstore.config-file: cannot read \/no\/such.yaml: ENOENT/,
      ],
      [
        'query',
        ['--endpoint.sd-config-file=/no/such.yaml'],
        /^--endpoint.sd-config-file: cannot read \/no\/such.yaml: ENOENT/,
      ],
      [
        'query',
        ['--selector.relabel-config-file=/tmp'],
        /^--selector.relabel-config-file: cannot read \/tmp: EISDIR/,
      ],
      [
        'sidecar',
        ['--prometheus.http-client-file=/no'],
        /^--prometheus.http-client-file: cannot read \/no: ENOENT/,
      ],
      ['query', ['@/no/such'], /^@\/no\/such: cannot read \/no\/such: ENOENT/],
    ];
    for (const [command, args, message] of cases) await refusal(command, args, message);
  });
});

async function refusal(
  command: string,
  args: readonly string[],
  message: RegExp | string,
): Promise<void> {
  const got = await refused(command, ...args);
  if (typeof message === 'string') assert.equal(got, message);
  else assert.match(got, message);
}

describe('YAML with a typo', () => {
  const cases: [what: string, command: string, flag: string, yaml: string, message: RegExp][] = [
    [
      'bucket key',
      'store',
      'objstore.config',
      'type: S3\nconfig:\n  bucket: b\n  endpont: x',
      /line 4, column 3: unknown key "endpont"; did you mean "endpoint"\?$/,
    ],
    ['bucket type', 'store', 'objstore.config', 'type: S33', /unknown type "S33"; use FILESYSTEM/],
    [
      'bucket syntax',
      'store',
      'objstore.config',
      'type: FILESYSTEM\nconfig:\n  directory: [x',
      /line 3, column \d+: not valid YAML: /,
    ],
    [
      'bucket value',
      'store',
      'objstore.config',
      'type: S3\nconfig:\n  insecure: perhaps',
      /line 3, column 13: "config.insecure" is "perhaps"; want true or false$/,
    ],
    [
      'bucket of a sidecar',
      'sidecar',
      'objstore.config',
      'tpe: S3',
      /line 1, column 1: unknown key "tpe"; did you mean "type"\?$/,
    ],
    [
      'environment',
      'store',
      'objstore.config',
      'type: $(HINDSIGHT_NOT_SET)',
      /refers to the environment variable HINDSIGHT_NOT_SET, which is not set$/,
    ],
    [
      'endpoint key',
      'query',
      'endpoint.sd-config',
      'endpoints:\n- adress: a:1',
      /line 2, column 3: unknown key "adress"; did you mean "address"\?$/,
    ],
    [
      'endpoint list',
      'query',
      'endpoint.sd-config',
      'endpoints: a:1',
      /line 1, column 12: "endpoints" is "a:1"; want a list$/,
    ],
    [
      'endpoint address',
      'query',
      'endpoint.sd-config',
      'endpoints:\n- address: a',
      /address "a": want host:port/,
    ],
    [
      'selector action',
      'query',
      'selector.relabel-config',
      '- action: drop\n  source_labels: [b]\n- action: keeep\n  source_labels: [a]',
      /line 3, column 3: relabel action "keeep" is not allowed here; use one of keep, drop, hashmod$/,
    ],
    [
      'selector pattern',
      'store',
      'selector.relabel-config',
      '- action: keep\n  source_labels: [a]\n  regex: "("',
      /line 1, column 3: regex "\(" does not compile: /,
    ],
    [
      'selector contradiction',
      'query',
      'selector.relabel-config',
      '- {action: hashmod, source_labels: [a], target_label: b}',
      /line 1, column 3: hashmod requires a non-zero modulus$/,
    ],
    [
      'HTTP client key',
      'sidecar',
      'prometheus.http-client',
      'basic_auth:\n  usernam: me',
      /line 2, column 3: unknown key "usernam"; did you mean "username"\?$/,
    ],
    [
      'HTTP client contradiction',
      'sidecar',
      'prometheus.http-client',
      'bearer_token: a\nbearer_token_file: b',
      /"bearer_token" and "bearer_token_file" exclude each other; set one$/,
    ],
  ];
  for (const [what, command, flag, yaml, message] of cases) {
    test(`is refused with its place: ${what}`, async () => {
      await using directory = await temporaryDirectory();
      const path = join(directory.path, 'config.yaml');
      await writeFile(path, yaml);
      const needed = command === 'store' && !flag.startsWith('objstore') ? [bucket] : [];
      const sidecar = command === 'sidecar' ? [`--tsdb.path=${directory.path}`] : [];
      const inPlace = await refused(command, ...needed, ...sidecar, `--${flag}=${yaml}`);
      assert.match(inPlace, message);
      assert.ok(inPlace.startsWith(`--${flag}: `), inPlace);
      const inFile = await refused(command, ...needed, ...sidecar, `--${flag}-file=${path}`);
      assert.equal(inFile, inPlace.replace(`--${flag}: `, `--${flag}-file=${path}: `));
    });
  }
});

describe('hindsight as a process', { concurrency: 2 }, () => {
  test('ends with 2 for a wrong command line', async () => {
    await using child = await start('query', '--bogus');
    assert.equal(await child.exited, 2);
    assert.equal(child.output, 'hindsight query: unknown flag --bogus; see --help\n');
  });

  for (const flag of ['http-address', 'grpc-address']) {
    test(`ends with 1 when another program has its ${flag}`, async () => {
      await using other = await listening();
      const { port } = other;
      await using child = await start(
        'query',
        ...anyPort.filter((text) => !text.includes(flag)),
        `--${flag}=127.0.0.1:${port}`,
      );
      assert.equal(await child.exited, 1);
      assert.match(child.output, new RegExp(`EADDRINUSE.*127.0.0.1:${port}`));
    });
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`ends with 0 on ${signal}, from every component`, async () => {
      await using directory = await temporaryDirectory();
      const objstore = {
        type: 'FILESYSTEM',
        config: { directory: join(directory.path, 'bucket') },
      };
      const config = `--objstore.config=${JSON.stringify(objstore)}`;
      const data = `--data-dir=${join(directory.path, 'data')}`;
      await mkdir(join(directory.path, 'bucket'));
      const lines = [
        ['query'],
        ['store', config, data],
        // Its Prometheus is nowhere: it must end while it still waits for it.
        [
          'sidecar',
          `--prometheus.url=http://127.0.0.1:${await freePort()}`,
          `--tsdb.path=${directory.path}`,
        ],
        ['all', data],
      ];
      for (const line of lines) {
        await using child = await start(...line, ...anyPort);
        await eventually(
          `${line[0]} listens`,
          async () => child.output.includes('listening for HTTP') || undefined,
        );
        const before = performance.now();
        child.kill(signal);
        assert.equal(await child.exited, 0, child.output);
        assert.ok(performance.now() - before < 5000, `${line[0]} took too long`);
      }
    });
  }

  test('ends a running query at the end of the grace period', async () => {
    // An endpoint that takes connections and never says a word.
    await using silent = await listening();
    const { port } = silent;
    const http = await freePort();
    await using child = await start(
      'query',
      `--http-address=127.0.0.1:${http}`,
      '--grpc-address=127.0.0.1:0',
      '--http-grace-period=500ms',
      '--endpoint.info-timeout=200ms',
      `--endpoint-strict=127.0.0.1:${port}`,
    );
    await eventually(
      'the querier is ready',
      async () => (await fetch(`http://127.0.0.1:${http}/-/ready`)).ok || undefined,
    );
    const query = fetch(`http://127.0.0.1:${http}/api/v1/query?query=up`).then(
      (reply) => reply.status,
      () => 'cut',
    );
    await new Promise((wake) => setTimeout(wake, 300));
    const before = performance.now();
    child.kill('SIGTERM');
    assert.equal(await child.exited, 0, child.output);
    const tookMs = performance.now() - before;
    assert.ok(tookMs > 400 && tookMs < 4000, `${tookMs} ms`);
    await query;
  });

  test('takes arguments from files', async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, 'args');
    await writeFile(path, `# comment\n\n--http-address=127.0.0.1:0\n--query.tiemout=1m\n`);
    await using child = await start('query', `@${path}`);
    assert.equal(await child.exited, 2);
    assert.match(child.output, /unknown flag --query.tiemout; did you mean --query.timeout\?/);
  });
});

function start(...args: readonly string[]): Promise<ChildProcess> {
  return startProcess({ command: hindsight, args });
}

/** A server that takes connections and never says a word. */
async function listening(): Promise<AsyncDisposable & { readonly port: number }> {
  const open = new Set<Socket>();
  const server = createServer((socket) => open.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolvePort) => void server.listen(0, '127.0.0.1', resolvePort));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((closed) => void server.close(closed));
    },
  };
}
