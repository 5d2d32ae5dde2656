import type { Clock } from '#/lib/clock.ts';
import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import { NotFoundError, UnavailableError } from '#/lib/errors.ts';
import type { PrometheusClient } from '#/storeapi/prometheus-client.ts';
import type { ReloadTrigger } from './reloader.ts';

/** `POST /-/reload`, which Prometheus answers when it has reloaded. */
export function httpTrigger(client: PrometheusClient): ReloadTrigger {
  return { method: 'http', reload: (signal) => client.reload(signal) };
}

interface SignalTriggerOptions {
  readonly client: PrometheusClient;
  /** The name of the executable. */
  readonly processName: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly kill: (pid: number, signal: 'SIGHUP') => void;
}

const CONFIRM_INTERVAL_MS = 1000;

/** SIGHUP to a process of this machine; Prometheus itself confirms that it has reloaded. */
export function signalTrigger(options: SignalTriggerOptions): ReloadTrigger {
  const { client, processName, disk, clock, kill } = options;
  return {
    method: 'signal',
    async reload(signal) {
      const before = await client.runtimeInfo(signal);
      kill(await findProcess(disk, processName), 'SIGHUP');
      for (;;) {
        const { reloadConfigSuccess, lastConfigTime } = await client.runtimeInfo(signal);
        if (reloadConfigSuccess && Date.parse(lastConfigTime) > Date.parse(before.lastConfigTime)) {
          return;
        }
        if (before.reloadConfigSuccess && !reloadConfigSuccess) {
          throw new UnavailableError('Prometheus refuses its configuration; see its log');
        }
        await clock.sleep(CONFIRM_INTERVAL_MS, signal);
      }
    },
  };
}

/** The kernel keeps this many bytes of an executable's name. */
const COMM_BYTES = 15;

/** @throws NotFoundError if no process has an executable of that name. */
export async function findProcess(disk: Disk, name: string): Promise<number> {
  const wanted = Buffer.from(name).subarray(0, COMM_BYTES).toString();
  for (const entry of await disk.list('/proc')) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      const comm = Buffer.from(await disk.read(`/proc/${entry.name}/comm`)).toString();
      if (comm.trimEnd() === wanted) return Number(entry.name);
    } catch (thrown) {
      // It has ended since it was listed.
      if (!isMissing(thrown) && !isGone(thrown)) throw thrown;
    }
  }
  throw new NotFoundError(
    `no process runs an executable named "${name}"; set --reloader.process-name, ` +
      'and let the sidecar see the processes of Prometheus (shareProcessNamespace in Kubernetes)',
  );
}

function isGone(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH';
}
