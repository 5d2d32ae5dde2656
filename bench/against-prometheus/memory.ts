import { readFile } from 'node:fs/promises';

/** What processes have held of physical memory at their worst, in bytes. */
export interface PeakMemory {
  /** Everything resident, files that are mapped included. */
  readonly resident: number;
  /** What is theirs alone: no mapped files. Sampled, so a short peak may be missed. */
  readonly anonymous: number;
}

const SAMPLING_MS = 20;

/** Watches the memory of processes, summed over them, until disposed. */
export class MemoryWatch implements Disposable {
  readonly #pids: readonly number[];
  readonly #timer: NodeJS.Timeout;
  #anonymous = 0;

  constructor(pids: readonly number[]) {
    this.#pids = pids;
    this.#timer = setInterval(() => void this.#sample(), SAMPLING_MS);
  }

  async peak(): Promise<PeakMemory> {
    await this.#sample();
    return { resident: await this.#sum('VmHWM'), anonymous: this.#anonymous };
  }

  async #sample(): Promise<void> {
    this.#anonymous = Math.max(this.#anonymous, await this.#sum('RssAnon'));
  }

  async #sum(field: string): Promise<number> {
    const sizes = await Promise.all(this.#pids.map((pid) => readStatus(pid, field)));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** A size in `/proc/PID/status`, in bytes; 0 on systems without it and for a process that ended. */
async function readStatus(pid: number, field: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
  return Number(kilobytes ?? 0) * 1024;
}
