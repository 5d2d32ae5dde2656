import type {
  BlockWork,
  DownsampleWork,
  MergeWork,
  OnFraction,
  RewriteWork,
} from '#/compact/block-work.ts';
import type { MergeResult } from '#/compact/merge-blocks.ts';
import type { RewriteResult } from '#/compact/rewrite-block.ts';
import type { Disk } from '#/lib/disk.ts';
import { assert, CorruptionError } from '#/lib/errors.ts';
import { WorkerPool } from '#/lib/worker-pool.ts';
import { readBlockMeta } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';

type BlockJob =
  | { readonly kind: 'merge'; readonly work: MergeWork }
  | { readonly kind: 'downsample'; readonly work: DownsampleWork }
  | { readonly kind: 'rewrite'; readonly work: RewriteWork };

/** A job with the place where the thread writes how far it is. */
export type BlockRequest = BlockJob & { readonly done: Int32Array<SharedArrayBuffer> };

export type BlockAnswer =
  | { readonly kind: 'merged'; readonly result: MergeResult }
  | { readonly kind: 'downsampled'; readonly meta: BlockMeta }
  | { readonly kind: 'rewritten'; readonly result: RewriteResult }
  | { readonly kind: 'damaged'; readonly message: string };

/** Below this, a thread takes longer to start than the work takes. */
const THREAD_FROM_SAMPLES = 5_000_000;
/** Samples that are copied in the time in which one is decoded and encoded. */
const COPIED_PER_CODED = 20;

type OneThread = WorkerPool<BlockRequest, BlockAnswer>;

/**
 * Gives large work to threads on the real disk, so that several jobs use several cores and the main
 * thread stays free. A thread does one work at a time and is kept for the next, unless the work
 * fails or `signal` aborts: then it is stopped, and nothing of it writes any more when the call ends.
 */
export class ThreadedBlockWork implements BlockWork, AsyncDisposable {
  readonly #disk: Disk;
  readonly #local: BlockWork;
  readonly #fromSamples: number;
  /** Threads without work, as many as ever worked at once; their code is warm. */
  readonly #idle: OneThread[] = [];

  /** `local` does what is too small for a thread, less than `fromSamples`. */
  constructor(disk: Disk, local: BlockWork, fromSamples = THREAD_FROM_SAMPLES) {
    this.#disk = disk;
    this.#local = local;
    this.#fromSamples = fromSamples;
  }

  async merge(work: MergeWork, signal: AbortSignal, onFraction?: OnFraction): Promise<MergeResult> {
    if (!(await this.#isLargeMerge(work.inputs))) {
      return this.#local.merge(work, signal, onFraction);
    }
    const answer = await this.#onThread({ kind: 'merge', work }, signal, onFraction);
    assert(answer.kind === 'merged', 'a merge was asked for');
    return answer.result;
  }

  async downsample(
    work: DownsampleWork,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<BlockMeta> {
    if (!(await this.#isLarge([work.input]))) {
      return this.#local.downsample(work, signal, onFraction);
    }
    const answer = await this.#onThread({ kind: 'downsample', work }, signal, onFraction);
    assert(answer.kind === 'downsampled', 'downsampling was asked for');
    return answer.meta;
  }

  async rewrite(
    work: RewriteWork,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<RewriteResult> {
    if (!(await this.#isLarge([work.input]))) return this.#local.rewrite(work, signal, onFraction);
    const answer = await this.#onThread({ kind: 'rewrite', work }, signal, onFraction);
    assert(answer.kind === 'rewritten', 'a rewrite was asked for');
    return answer.result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((thread) => thread[Symbol.asyncDispose]()));
  }

  /** @throws CorruptionError if an input is damaged, UnavailableError if the thread dies. */
  async #onThread(
    job: BlockJob,
    signal: AbortSignal,
    onFraction: OnFraction | undefined,
  ): Promise<Exclude<BlockAnswer, { kind: 'damaged' }>> {
    const entry = new URL('./block-work.worker.ts', import.meta.url);
    const thread = this.#idle.pop() ?? new WorkerPool<BlockRequest, BlockAnswer>(entry, 1);
    let answer: BlockAnswer;
    const done = sharedFraction();
    let told = 0;
    // Only when it gets on: a thread that hangs must not look alive.
    const tell = () => {
      const fraction = readFraction(done);
      if (fraction !== told) onFraction?.((told = fraction));
    };
    const timer = setInterval(tell, PROGRESS_INTERVAL_MS);
    try {
      answer = await unlessAborted(thread.run({ ...job, done }, signal), signal);
    } catch (thrown) {
      await thread[Symbol.asyncDispose]();
      throw thrown;
    } finally {
      clearInterval(timer);
    }
    tell();
    this.#idle.push(thread);
    if (answer.kind === 'damaged') throw new CorruptionError(answer.message);
    return answer;
  }

  async #isLarge(directories: readonly string[]): Promise<boolean> {
    const metas = await this.#metasOf(directories);
    return samplesOf(metas) >= this.#fromSamples;
  }

  /** Chunks of blocks that do not overlap are copied. */
  async #isLargeMerge(directories: readonly string[]): Promise<boolean> {
    const metas = await this.#metasOf(directories);
    const overlaps = metas.some((meta, i) => i > 0 && meta.minTime < metas[i - 1]!.maxTime);
    return samplesOf(metas) >= this.#fromSamples * (overlaps ? 1 : COPIED_PER_CODED);
  }

  async #metasOf(directories: readonly string[]): Promise<readonly BlockMeta[]> {
    const metas: BlockMeta[] = [];
    for (const directory of directories) metas.push(await readBlockMeta(this.#disk, directory));
    return metas;
  }
}

function samplesOf(metas: readonly BlockMeta[]): number {
  return metas.reduce((sum, { stats }) => sum + stats.numSamples, 0);
}

/** How often those who wait are told how far a thread is. */
const PROGRESS_INTERVAL_MS = 1000;
const WHOLE = 1_000_000;

/** A fraction that one thread writes and another reads. */
function sharedFraction(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}

function readFraction(of: Int32Array<SharedArrayBuffer>): number {
  return Atomics.load(of, 0) / WHOLE;
}

export function writeFraction(of: Int32Array<SharedArrayBuffer>, fraction: number): void {
  Atomics.store(of, 0, Math.round(fraction * WHOLE));
}

async function unlessAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  // When the thread is stopped, its failure has nobody left to hear it.
  running.catch(() => undefined);
  try {
    return await Promise.race([running, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
