import { readFile, writeFile } from 'node:fs/promises';

const SAMPLING_MS = 50;

/** Watches how much physical memory one process has, from stretch to stretch, until disposed. */
export class ResidentWatch implements Disposable {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peak = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => void this.#sample(), SAMPLING_MS);
  }

  /** Begins a stretch. The kernel's own mark is reset, so no peak between two samples is missed. */
  async begin(): Promise<void> {
    await writeFile(`/proc/${this.#pid}/clear_refs`, '5').catch(() => undefined);
    this.#peak = 0;
    await this.#sample();
  }

  /** The most there was since `begin`, in bytes. */
  async peak(): Promise<number> {
    await this.#sample();
    return Math.max(this.#peak, await readStatus(this.#pid, 'VmHWM'));
  }

  async #sample(): Promise<void> {
    this.#peak = Math.max(this.#peak, await readStatus(this.#pid, 'VmRSS'));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** A size in `/proc/PID/status`, in bytes; 0 for a process that ended. */
async function readStatus(pid: number, field: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
  return Number(kilobytes ?? 0) * 1024;
}
