import { startProcess } from '../child-process.ts';
import type { ChildProcess } from '../child-process.ts';

export interface ServiceOptions {
  readonly name: string;
  /** What it is for, in the demo's overview. */
  readonly role: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Variables besides those that it inherits. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Base URL of its HTTP side. */
  readonly url: string;
  readonly readyPath: string;
}

/** A program of the demo that can be stopped and started again, as an outage would. */
export class Service implements AsyncDisposable {
  readonly name: string;
  readonly role: string;
  readonly url: string;
  readonly #options: ServiceOptions;
  #process: ChildProcess | undefined;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.name = options.name;
    this.role = options.role;
    this.url = options.url;
  }

  /** Resolves when it is ready. @throws Error with its last output when it is not ready in time. */
  async start(): Promise<void> {
    const { command, args, environment = {}, url, readyPath } = this.#options;
    this.#process = await startProcess({
      command,
      args,
      env: environment,
      readyUrl: url + readyPath,
    });
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  /** Ends it without a chance to clean up. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#process?.exited;
    this.#process = undefined;
  }

  /** What it wrote last; for the report of a failure. */
  get output(): string {
    return this.#process?.output ?? '';
  }

  /** Rejects when the program ends by itself. */
  async failed(): Promise<never> {
    const exited = await this.#process?.exited;
    throw new Error(`${this.name} ended by itself (${exited}):\n${this.output}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
