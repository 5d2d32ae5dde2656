import { readFile, readlink } from 'node:fs/promises';
import { isMissing } from '#/lib/disk.ts';
import type { Processes } from '#/lib/processes.ts';

/**
 * By what Linux says in `/proc`: the boot of the machine, the namespace of process numbers, the number
 * and when the process began. Containers on one machine see different numbers, hence the namespace.
 */
export const nodeProcesses: Processes = {
  own: () => identityOf('self'),

  async hasEnded(identity) {
    const [boot, namespace, pid] = identity.split(' ');
    const [ownBoot, ownNamespace] = (await place().catch(() => undefined)) ?? [];
    if (boot === undefined || namespace === undefined || pid === undefined) return false;
    if (boot !== ownBoot || namespace !== ownNamespace || !/^\d+$/.test(pid)) return false;
    return (await identityOf(pid)) !== identity;
  },
};

/** Of a process that runs; `undefined` if there is none with that number. */
export async function identityOf(pid: string): Promise<string | undefined> {
  try {
    const { number, state, startTime } = parseStat(await readFile(`/proc/${pid}/stat`, 'utf8'));
    // It has ended, but whoever started it has not looked yet.
    if (state === 'Z' || state === 'X') return undefined;
    return [...(await place()), number, startTime].join(' ');
  } catch (thrown) {
    if (isMissing(thrown) || hasCode(thrown, 'ESRCH')) return undefined;
    throw thrown;
  }
}

/** Where numbers of processes mean the same. */
async function place(): Promise<[boot: string, namespace: string]> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  return [boot.trim(), await readlink('/proc/self/ns/pid')];
}

/** `pid (name) state …`: the name may have spaces and parentheses; the start is the 22nd. See proc(5). */
function parseStat(text: string): { number: string; state: string; startTime: string } {
  const rest = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    number: text.slice(0, text.indexOf(' ')),
    state: rest[0] ?? '',
    startTime: rest[19] ?? '',
  };
}

function hasCode(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === code;
}
