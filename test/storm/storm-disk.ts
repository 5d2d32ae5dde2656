import { setTimeout as delay } from 'node:timers/promises';
import { nodeDisk } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import type { Harm, Weather } from './weather.ts';

/** How long a read stalls: a mount of a network that is gone comes back at some time. */
const STALL_MS = 8000;

/**
 * A disk whose files below `directory` suffer from the weather when they are read. Bytes change only
 * in `index` and `chunks`: nothing in a file system could tell a wrong digit of a `meta.json`.
 */
export function stormDisk(directory: string, weather: Weather): Disk {
  const read = async (path: string, work: () => Promise<Uint8Array>): Promise<Uint8Array> => {
    if (!path.startsWith(directory)) return work();
    const harm = weather.next(Date.now());
    await suffer(path, harm);
    const bytes = await work();
    return /\/(index|chunks\/\d+)$/.test(path) ? harmed(bytes, harm) : bytes;
  };
  return {
    ...nodeDisk,
    read: (path) => read(path, () => nodeDisk.read(path)),
    readRange: (path, offset, length) => read(path, () => nodeDisk.readRange(path, offset, length)),
    async stat(path) {
      if (path.startsWith(directory)) await suffer(path, weather.next(Date.now()));
      return nodeDisk.stat(path);
    },
    async list(path) {
      if (path.startsWith(directory)) await suffer(path, weather.next(Date.now()));
      return nodeDisk.list(path);
    },
  };
}

async function suffer(path: string, harm: Harm | undefined): Promise<void> {
  if (harm?.kind === 'late') await delay(harm.ms);
  if (harm?.kind === 'stall') await delay(STALL_MS);
  if (harm?.kind !== 'error' && harm?.kind !== 'slow down') return;
  const code = harm.kind === 'error' ? 'EIO' : 'EAGAIN';
  throw Object.assign(new Error(`${code}: the storm, ${path}`), { code, syscall: 'read', path });
}

function harmed(bytes: Uint8Array, harm: Harm | undefined): Uint8Array {
  if (bytes.length === 0) return bytes;
  if (harm?.kind === 'truncate') return bytes.subarray(0, Math.floor(harm.share * bytes.length));
  if (harm?.kind === 'flip') bytes[Math.floor(harm.share * bytes.length)]! ^= harm.mask;
  return bytes;
}
