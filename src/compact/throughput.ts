/** How many of the last jobs count. */
const JOBS = 32;

/** How fast the jobs of a queue get on: by the bytes of the blocks that went into the last of them. */
export class Throughput {
  readonly #jobs: { readonly bytes: number; readonly durationMs: number }[] = [];

  add(bytes: number, durationMs: number): void {
    this.#jobs.push({ bytes, durationMs });
    if (this.#jobs.length > JOBS) this.#jobs.shift();
  }

  /** Of one job, from its download to its end; `undefined` before the first has ended. */
  get bytesPerSecond(): number | undefined {
    let bytes = 0;
    let durationMs = 0;
    for (const job of this.#jobs) {
      bytes += job.bytes;
      durationMs += job.durationMs;
    }
    return durationMs === 0 ? undefined : bytes / (durationMs / 1000);
  }
}

/**
 * How long work in several lines takes, of which `concurrency` are worked at at once, and each by one
 * job at a time; `undefined` if nothing was measured yet.
 */
export function timeLeftMs(
  lines: readonly number[],
  bytesPerSecond: number | undefined,
  concurrency: number,
): number | undefined {
  const total = lines.reduce((sum, bytes) => sum + bytes, 0);
  if (total === 0) return 0;
  if (bytesPerSecond === undefined || bytesPerSecond === 0) return undefined;
  const longest = lines.reduce((most, bytes) => Math.max(most, bytes), 0);
  return (Math.max(longest, total / concurrency) / bytesPerSecond) * 1000;
}
