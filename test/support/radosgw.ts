import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { eventually, findProgram, freePort } from './servers.ts';

const run = promisify(execFile);

const PROGRAMS = ['radosgw', 'radosgw-admin', 'ceph', 'ceph-mon', 'ceph-osd', 'monmaptool'];
const ACCESS_KEY = 'test-access-key';
const SECRET_KEY = 'test-secret-key';

/** A server of the S3 protocol that checks signatures: Ceph's, with all data in memory. */
export interface Radosgw extends AsyncDisposable {
  /** `host:port`, plain HTTP. */
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Whether `startRadosgw` can work here: `sh bin/setup --servers` installs it. */
export function hasRadosgw(): boolean {
  return PROGRAMS.every((program) => findProgram(program) !== undefined);
}

/** Starts a monitor, one storage daemon and the gateway; takes about 12 s. */
export async function startRadosgw(): Promise<Radosgw> {
  await using opened = new AsyncDisposableStack();
  const root = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const directory = await mkdtemp(join(root, 'hindsight-radosgw-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const [monitorPort, port] = [await freePort(), await freePort()];
  const config = join(directory, 'ceph.conf');
  const fsid = randomUUID();
  await writeFile(config, clusterConfig(directory, fsid, monitorPort));
  for (const part of ['mon', 'osd', 'rgw']) await mkdir(join(directory, part));

  const start = (program: string, args: readonly string[]) => {
    const log = join(directory, `${program}.out`);
    const child = spawn('sh', [
      '-c',
      `exec "$0" "$@" > '${log}' 2>&1`,
      program,
      '-c',
      config,
      ...args,
    ]);
    opened.defer(() => stop(child));
    return child;
  };
  const admin = (program: string, ...args: string[]) =>
    run(program, ['-c', config, ...args], { timeout: 60_000 });

  const map = join(directory, 'monmap');
  const address = `[v1:127.0.0.1:${monitorPort}]`;
  await run('monmaptool', ['--create', '--clobber', '--fsid', fsid, '--addv', 'a', address, map]);
  await admin('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map);
  start('ceph-mon', ['-f', '-i', 'a']);
  await admin('ceph', 'osd', 'create');
  await admin('ceph-osd', '--mkfs', '-i', '0');
  await startStorage(
    () => start('ceph-osd', ['-f', '-i', '0']),
    async () => (await admin('ceph', 'osd', 'stat')).stdout.includes('1 up'),
  );
  const keys = ['--access-key', ACCESS_KEY, '--secret', SECRET_KEY];
  await admin('radosgw-admin', 'user', 'create', '--uid=test', '--display-name=test', ...keys);
  start('radosgw', [
    '-f',
    '-n',
    'client.rgw',
    `--rgw_frontends=beast endpoint=127.0.0.1:${port} tcp_nodelay=1`,
  ]);
  const endpoint = `127.0.0.1:${port}`;
  await eventually(
    'radosgw answers',
    async () => (await fetch(`http://${endpoint}`)).ok || undefined,
  );

  const owned = opened.move();
  return {
    endpoint,
    accessKey: ACCESS_KEY,
    secretKey: SECRET_KEY,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The first start of a storage daemon in memory often dies while it joins; the second stays. */
async function startStorage(
  start: () => ChildProcess,
  isUp: () => Promise<boolean>,
): Promise<void> {
  for (let attempt = 1; attempt <= 5; attempt++) {
    const daemon = start();
    while (daemon.exitCode === null && daemon.signalCode === null) {
      if (await isUp()) return;
      await delay(100);
    }
  }
  throw new Error('ceph-osd does not stay up');
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL'); // Nothing of it is kept, so there is nothing to be tidy about.
  });
}

function clusterConfig(directory: string, fsid: string, monitorPort: number): string {
  return `[global]
fsid = ${fsid}
mon_host = v1:127.0.0.1:${monitorPort}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_bind_msgr2 = false
public_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_class_update_on_start = false
run_dir = ${directory}
mon_data = ${directory}/mon
osd_data = ${directory}/osd
rgw_data = ${directory}/rgw
keyring = ${directory}/keyring
log_file = ${directory}/$name.log
admin_socket = ${directory}/$name.asok
pid_file =
`;
}
