import { Worker, parentPort } from 'node:worker_threads';
import { UnavailableError, messageOf } from './errors.ts';

/** Requests a thread has at most, so that it has the next at hand when it ends one. */
const DEPTH = 2;

/**
 * Answers requests on threads, first come, first served. Threads start when there is work for them
 * and wait for more; waiting threads do not keep the process alive. One that dies takes along what
 * it was given, with all that waits under the same signals, since that might kill the next, too;
 * another thread takes its place.
 */
export class WorkerPool<Request, Answer> implements AsyncDisposable {
  readonly size: number;
  readonly #entry: URL;
  readonly #threads: Thread<Request, Answer>[] = [];
  readonly #queue: Task<Request, Answer>[] = [];
  #isClosed = false;

  /** `entry` is a module that calls `serveRequests`; at most `size` threads run it. */
  constructor(entry: URL, size: number) {
    this.#entry = entry;
    this.size = size;
  }

  /**
   * Has a thread answer `request`, which is copied (memory that is shared stays so). A request that
   * still waits in line when `signal` aborts is dropped; one with a thread is answered to the end.
   * @throws UnavailableError if the thread dies.
   */
  run(request: Request, signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new UnavailableError('the worker threads have been stopped');
      signal.throwIfAborted();
      const drop = () => {
        const at = this.#queue.indexOf(task);
        if (at < 0) return;
        this.#queue.splice(at, 1);
        reject(signal.reason as Error);
      };
      const settle = () => signal.removeEventListener('abort', drop);
      const task: Task<Request, Answer> = { request, signal, resolve, reject, settle };
      signal.addEventListener('abort', drop, { once: true });
      this.#queue.push(task);
      this.#handOut();
    });
  }

  /** Stops all threads; what they have not answered fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const stopped = new UnavailableError('the worker threads have been stopped');
    for (const task of this.#queue.splice(0)) fail(task, stopped);
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  #handOut(): void {
    while (this.#queue.length > 0) {
      const thread = this.#freeThread();
      if (thread === undefined) return;
      thread.give(this.#queue.shift()!);
    }
  }

  /** The one with the least to do, which may have to be started. */
  #freeThread(): Thread<Request, Answer> | undefined {
    const [least] = this.#threads.toSorted((a, b) => a.load - b.load);
    if (least?.load === 0) return least;
    if (this.#threads.length < this.size) return this.#start();
    return least !== undefined && least.load < DEPTH ? least : undefined;
  }

  #start(): Thread<Request, Answer> {
    const thread = new Thread<Request, Answer>(this.#entry, {
      onAnswer: () => this.#handOut(),
      onExit: (given, thrown) => {
        this.#threads.splice(this.#threads.indexOf(thread), 1);
        const signals = new Set(given.map(({ signal }) => signal));
        const waiting = this.#queue.filter(({ signal }) => signals.has(signal));
        for (const task of waiting) this.#queue.splice(this.#queue.indexOf(task), 1);
        for (const task of [...given, ...waiting]) fail(task, thrown);
        if (!this.#isClosed) this.#handOut();
      },
    });
    this.#threads.push(thread);
    return thread;
  }
}

/** The other side, in the thread: answers one request after the other with what `answer` gives. */
export function serveRequests<Request, Answer>(
  answer: (request: Request) => Answer | Promise<Answer>,
): void {
  const port = parentPort;
  if (port === null) throw new Error('broken invariant: serveRequests() is for worker threads');
  const reply = async (request: Request): Promise<void> => {
    try {
      port.postMessage({ answer: await answer(request) } satisfies Reply<Answer>);
    } catch (thrown) {
      const failure = thrown instanceof Error ? (thrown.stack ?? '') : messageOf(thrown);
      port.postMessage({ failure } satisfies Reply<Answer>);
    }
  };
  let last = Promise.resolve();
  port.on('message', (request: Request) => {
    last = last.then(() => reply(request));
  });
}

type Reply<Answer> = { readonly answer: Answer } | { readonly failure: string };

interface Task<Request, Answer> {
  readonly request: Request;
  readonly signal: AbortSignal;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (thrown: Error) => void;
  /** To be called before either. */
  readonly settle: () => void;
}

function fail(task: Pick<Task<unknown, unknown>, 'settle' | 'reject'>, thrown: Error): void {
  task.settle();
  task.reject(thrown);
}

/** One thread and what it was given; it answers in that order. */
class Thread<Request, Answer> {
  readonly #worker: Worker;
  readonly #tasks: Task<Request, Answer>[] = [];
  readonly #onAnswer: () => void;

  constructor(
    entry: URL,
    on: {
      readonly onAnswer: () => void;
      /** Told what the thread has not answered, and why. */
      readonly onExit: (given: readonly Task<Request, Answer>[], thrown: Error) => void;
    },
  ) {
    this.#onAnswer = on.onAnswer;
    // What the process was started with need not make sense for another module.
    this.#worker = new Worker(entry, { execArgv: [] });
    let reason: unknown;
    this.#worker.on('message', (reply: Reply<Answer>) => this.#answered(reply));
    this.#worker.on('error', (thrown) => (reason = thrown));
    this.#worker.on('exit', (code) => {
      const why = reason === undefined ? `exit code ${code}` : messageOf(reason);
      const text = `a worker thread died in the middle of its work (${why}); ask again`;
      on.onExit(this.#tasks.splice(0), new UnavailableError(text, { cause: reason }));
    });
    this.#worker.unref();
  }

  /** Requests without an answer. */
  get load(): number {
    return this.#tasks.length;
  }

  give(task: Task<Request, Answer>): void {
    this.#tasks.push(task);
    this.#worker.ref();
    this.#worker.postMessage(task.request);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #answered(reply: Reply<Answer>): void {
    const task = this.#tasks.shift()!;
    if (this.#tasks.length === 0) this.#worker.unref();
    task.settle();
    if ('answer' in reply) task.resolve(reply.answer);
    else task.reject(new Error(`in a worker thread: ${reply.failure}`));
    this.#onAnswer();
  }
}
