import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { clientOptionsOf, parseHttpClientConfig } from './client-config.ts';

const parse = (yaml: string) => parseHttpClientConfig('--prometheus.http-client', yaml);

test('an empty text is the default client', async () => {
  const options = clientOptionsOf(parse(''), new MemoryDisk());
  assert.equal(options.dialTimeoutMs, 5000);
  assert.equal(options.idleTimeoutMs, 90_000);
  assert.equal(options.responseTimeoutMs, undefined);
  assert.equal(await options.authorization!(), undefined);
  assert.deepEqual(await options.tls!(), { rejectUnauthorized: true });
});

test('secrets and certificates are read from their files at every use', async () => {
  const disk = new MemoryDisk();
  const put = (path: string, text: string) => disk.write(path, Buffer.from(text));
  await put('/token', 'one\n');
  await put('/ca.pem', 'authority');
  const options = clientOptionsOf(
    parse('bearer_token_file: /token\ntls_config: {ca_file: /ca.pem, server_name: prom}'),
    disk,
  );
  assert.equal(await options.authorization!(), 'Bearer one');
  await put('/token', 'two\n');
  assert.equal(await options.authorization!(), 'Bearer two');
  const tls = await options.tls!();
  assert.equal(String(tls.ca), 'authority');
  assert.equal(tls.servername, 'prom');
});

test('basic authentication and timeouts in nanoseconds', async () => {
  const config = parse(
    'basic_auth: {username: me, password: secret}\n' +
      'transport_config: {response_header_timeout: 2000000000, max_idle_conns: 3}\n',
  );
  const options = clientOptionsOf(config, new MemoryDisk());
  assert.equal(
    await options.authorization!(),
    `Basic ${Buffer.from('me:secret').toString('base64')}`,
  );
  assert.equal(options.responseTimeoutMs, 2000);
});

test('settings that exclude each other are refused by name', () => {
  for (const [yaml, message] of [
    ['bearer_token: a\nbearer_token_file: b', '"bearer_token" and "bearer_token_file" exclude'],
    ['basic_auth: {username: a}\nbearer_token: b', '"basic_auth" and "bearer_token" exclude'],
    ['basic_auth: {password: a, password_file: b}', '"password" and "password_file" exclude'],
    [
      'basic_auth:\n  usernam: a',
      'line 2, column 3: unknown key "usernam"; did you mean "username"\\?',
    ],
    ['tls_config: {cert_file: a}', '"cert_file" and "key_file" belong together'],
    ['proxy_url: ftp://x', '"proxy_url" is "ftp://x"'],
  ] as const) {
    assert.throws(() => parse(yaml), {
      name: 'BadInputError',
      message: new RegExp(`^--prometheus.http-client: ${message}`),
    });
  }
});
