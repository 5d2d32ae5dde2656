import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BadInputError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { openBucket } from './open.ts';
import { gather, names } from './testing/bucket-suite.ts';

function setUp() {
  const clock = new ManualClock(1_700_000_000_000);
  const disk = new MemoryDisk({ clock });
  const metrics = new Metrics();
  const effects = { disk, clock, random: seededRandom(1), log: new MemoryLog(), metrics };
  const open = (text: string) => openBucket({ source: '--objstore.config', text }, effects);
  return { disk, metrics, open };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const AZURE = 'type: AZURE\nconfig:\n  storage_account: a\n  container: c\n';
const S3 = 'type: S3\nconfig:\n  bucket: b\n  endpoint: s3.example.org\n';

describe('openBucket()', () => {
  test('opens a directory, below a prefix, whatever the case of the type', async () => {
    const { open, disk } = setUp();
    await using bucket = await open(
      'type: filesystem\nconfig: {directory: /data, x: 1}\nprefix: /a/b/',
    );
    await bucket.upload('x/y', bytes('1'));
    assert.ok(disk.paths.includes('/data/a/b/x/y'));
    assert.equal(bucket.name, 'file:///data/a/b');
    assert.deepEqual(await names(bucket, ''), ['x/']);
  });

  test('says what is wrong, where, and what to do', async () => {
    const { open } = setUp();
    const wrong: (readonly [string, string])[] = [
      [
        'type: swift\nconfig: {a: 1}',
        'type "swift" is not supported by this version; use FILESYSTEM, S3, GCS or AZURE',
      ],
      ['type: S33', 'unknown type "S33"; use FILESYSTEM, S3, GCS or AZURE'],
      ['config: {}', 'line 1, column 1: "type" is missing'],
      ['type: FILESYSTEM', '"config.directory" is missing; want a path'],
      ['type: S3\nconf: 1', 'line 2, column 1: unknown key "conf"; did you mean "config"?'],
      [
        'type: S3\nconfig:\n  buckt: x',
        'line 3, column 3: unknown key "buckt"; did you mean "bucket"?',
      ],
      [`${S3}  part_size: big`, 'line 5, column 14: "config.part_size" is "big"; want a number'],
      [
        `${S3}  http_config: {idle_conn_timeot: 1s}`,
        'line 5, column 17: unknown key "idle_conn_timeot"; did you mean "idle_conn_timeout"?',
      ],
      [
        'type: S3\nconfig: {endpoint: e}',
        '"config.bucket" is missing; want the name of the bucket',
      ],
      [
        `${S3}  access_key: a`,
        '"config.secret_key" is missing; set both access_key and secret_key, or neither for credentials from the environment',
      ],
      [
        `${S3}  signature_version2: true`,
        '"config.signature_version2" is not supported; requests are signed with version 4',
      ],
      [
        S3.replace('s3.', 'https://s3.'),
        '"config.endpoint" is "https://s3.example.org"; want host or host:port alone (insecure: true means plain HTTP)',
      ],
      [
        `${S3}  sse_config: {type: SSE-C}`,
        '"config.sse_config.encryption_key" is missing; SSE-C needs the file of the key',
      ],
      [
        `${S3}hedging_config: {enabled: true, up_to: 1}`,
        '"hedging_config.up_to" is 1; want a whole number from 2, the copies of a read with the first',
      ],
      [
        `${S3}hedging_config: {enabled: true, quantile: 95}`,
        '"hedging_config.quantile" is 95; want a number between 0 and 1, such as 0.95',
      ],
    ];
    wrong.push(
      ['type: AZURE', '"config.storage_account" is missing; want the name of the storage account'],
      [
        'type: AZURE\nconfig: {storage_acount: a}',
        'line 2, column 10: unknown key "storage_acount"; did you mean "storage_account"?',
      ],
      [
        'type: AZURE\nconfig: {storage_account: a}',
        '"config.container" is missing; want the name of the container',
      ],
      [
        `${AZURE}  client_id: c`,
        '"config.az_tenant_id" is missing; set az_tenant_id, client_id and client_secret together',
      ],
      [
        `${AZURE}  storage_account_key: a2V5\n  storage_connection_string: c`,
        '"config.storage_account_key" and "config.storage_connection_string" exclude each other; set one of them',
      ],
      [
        `${AZURE}  user_assigned_id: u\n  storage_account_key: a2V5`,
        '"config.user_assigned_id" and "config.storage_account_key" exclude each other; set one of them',
      ],
      [
        `${AZURE}  pipeline_config: {try_timeot: 1s}`,
        'line 5, column 21: unknown key "try_timeot"; did you mean "try_timeout"?',
      ],
      ['type: GCS', '"config.bucket" is missing; want the name of the bucket'],
      [
        'type: GCS\nconfig: {buket: x}',
        'line 2, column 10: unknown key "buket"; did you mean "bucket"?',
      ],
      [
        'type: GCS\nconfig: {bucket: b, service_account: "{x"}',
        '"config.service_account" is not valid JSON (at position 1); want the JSON of a credentials file, as in service_account: |-',
      ],
      [
        'type: GCS\nconfig: {bucket: b, service_account: "{}"}',
        '"config.service_account" has no "type"; want the JSON of a credentials file, as in service_account: |-',
      ],
      [
        'type: GCS\nconfig: {bucket: b, http_config: {tls_config: {cert_file: /c}}}',
        '"config.http_config.tls_config": set cert_file and key_file together',
      ],
    );
    for (const [text, message] of wrong) {
      await assert.rejects(open(text), new BadInputError(`--objstore.config: ${message}`));
    }
    await assert.rejects(
      open(`${AZURE}  storage_connection_string: nonsense`),
      /^BadInputError: --objstore.config: "config.storage_connection_string": /,
    );
    const withKey = `${S3}  sse_config: {type: SSE-C, encryption_key: /no/key}`;
    await assert.rejects(
      open(withKey),
      /"sse_config.encryption_key": cannot read \/no\/key: ENOENT/,
    );
  });

  test('counts operations, failures, bytes and the last upload as Thanos does', async () => {
    const { open, metrics, disk } = setUp();
    await using bucket = await open('type: FILESYSTEM\nconfig: {directory: /data}');
    await bucket.upload('x', bytes('12345'));
    await bucket.read('x');
    await bucket.read('x', { offset: 1, length: 2 });
    await gather(bucket.readStream('x', { offset: 1 }));
    await names(bucket, '');
    await bucket.attributes('x');
    await assert.rejects(bucket.read('none'));
    disk.faults = (operation) => (operation.includes('remove') ? 'refuse' : undefined);
    await assert.rejects(bucket.remove('x'));
    const text = await metrics.text();
    const value = (name: string, operation: string) =>
      Number(
        new RegExp(
          `^thanos_objstore_bucket_${name}{bucket="fs: /data",operation="${operation}"} (.*)$`,
          'm',
        ).exec(text)?.[1],
      );
    const counts = {
      get: 2,
      get_range: 2,
      iter: 1,
      attributes: 1,
      upload: 1,
      delete: 1,
      exists: 0,
    };
    for (const [operation, count] of Object.entries(counts)) {
      assert.equal(value('operations_total', operation), count, operation);
      assert.equal(value('operation_failures_total', operation), operation === 'delete' ? 1 : 0);
    }
    assert.equal(value('operation_fetched_bytes_total', 'get_range'), 6);
    assert.equal(value('operation_transferred_bytes_sum', 'upload'), 5);
    assert.equal(value('operation_duration_seconds_count', 'iter'), 1);
    assert.match(
      text,
      /^thanos_objstore_bucket_last_successful_upload_time{bucket="fs: \/data"} 1700000000$/m,
    );
  });
});
