import { spawn } from 'node:child_process';

export interface ProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly directory?: string;
  /** Polled until it answers 200; without it the process counts as ready at once. */
  readonly readyUrl?: string;
  /** How long `readyUrl` may take. Default 30 s. */
  readonly readyTimeoutMs?: number;
}

/** A program that we started. Disposing it ends it: SIGTERM, and SIGKILL after 10 s. */
export interface ChildProcess extends AsyncDisposable {
  readonly pid: number;
  /** The last 64 KiB that it wrote to standard output and standard error. */
  readonly output: string;
  /** The exit code, or the signal's name; pending while it runs. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly isRunning: boolean;
  kill(signal?: NodeJS.Signals): void;
  stop(): Promise<void>;
}

const OUTPUT_LIMIT = 65_536;
const STOP_TIMEOUT_MS = 10_000;

/**
 * Starts a program and waits until it is ready.
 * @throws Error with the program's last output when it exits first or is not ready in time.
 */
export async function startProcess(options: ProcessOptions): Promise<ChildProcess> {
  const child = spawn(options.command, [...options.args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_LIMIT);
    });
  }
  let running = true;
  const exited = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', (cause) => {
      running = false;
      reject(new Error(`cannot start ${options.command}`, { cause }));
    });
    child.once('exit', (code, signal) => {
      running = false;
      resolve(code ?? signal ?? 0);
    });
  });
  exited.catch(() => undefined);
  const stop = async () => {
    if (!running) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  };
  const started: ChildProcess = {
    get pid() {
      return child.pid ?? 0;
    },
    get output() {
      return output;
    },
    get isRunning() {
      return running;
    },
    exited,
    kill: (signal = 'SIGTERM') => void child.kill(signal),
    stop,
    [Symbol.asyncDispose]: stop,
  };
  try {
    await untilReady(started, options);
  } catch (thrown) {
    await stop().catch(() => undefined);
    throw thrown;
  }
  return started;
}

async function untilReady(child: ChildProcess, options: ProcessOptions): Promise<void> {
  const { command, readyUrl, readyTimeoutMs = 30_000 } = options;
  if (readyUrl === undefined) return;
  const deadline = performance.now() + readyTimeoutMs;
  while (!(await answers(readyUrl))) {
    if (!child.isRunning) {
      throw new Error(
        `${command} ended before it was ready (${await child.exited}):\n${child.output}`,
      );
    }
    if (performance.now() > deadline) {
      throw new Error(`${command} is not ready after ${readyTimeoutMs} ms:\n${child.output}`);
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}
