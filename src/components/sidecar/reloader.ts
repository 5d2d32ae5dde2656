import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expandEnvironment } from '#/config/yaml.ts';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import type { Disk } from '#/lib/disk.ts';
import { untilSuccess } from '#/lib/retry.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { reloaderMetrics } from './reloader-metrics.ts';

export interface ReloaderConfig {
  /** Prometheus's configuration, maybe gzipped; `''` for none. */
  readonly configFile: string;
  /** Where it goes uncompressed and with `$(NAME)` replaced by the environment; `''` for nowhere. */
  readonly outputFile: string;
  readonly ruleDirectories: readonly string[];
  /** Files are looked at this often even when no change was told of; 0 looks once and reloads nothing. */
  readonly watchIntervalMs: number;
  readonly retryIntervalMs: number;
}

/** Makes Prometheus read its files again; rejects when it did not. */
export interface ReloadTrigger {
  readonly method: 'http' | 'signal';
  reload(signal: AbortSignal): Promise<void>;
}

interface Environment {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly signal: AbortSignal;
}

const GZIP = [0x1f, 0x8b, 0x08];

/**
 * Watches Prometheus's configuration and rule files and reloads Prometheus when their contents have
 * changed, until the signal aborts. Without anything to watch it idles.
 * @throws when the configuration cannot be applied the first time: a missing file or variable is a
 *   mistake then; later it may be a file in the middle of being replaced, and is only logged.
 */
export async function runReloader(
  config: ReloaderConfig,
  trigger: ReloadTrigger,
  variables: Readonly<Record<string, string | undefined>>,
  env: Environment,
): Promise<void> {
  if (config.configFile === '' && config.ruleDirectories.length === 0) return;
  using reloader = new Reloader(config, trigger, variables, env);
  await reloader.run();
}

class Reloader implements Disposable {
  readonly #config: ReloaderConfig;
  readonly #trigger: ReloadTrigger;
  readonly #variables: Readonly<Record<string, string | undefined>>;
  readonly #env: Environment;
  readonly #metrics;
  readonly #watches = new Map<string, Disposable>();
  /** What Prometheus has read; `undefined` after a reload that failed, so that the next look retries. */
  #applied: string | undefined;
  #wake: () => void = () => undefined;
  #changed = false;

  constructor(
    config: ReloaderConfig,
    trigger: ReloadTrigger,
    variables: Readonly<Record<string, string | undefined>>,
    env: Environment,
  ) {
    this.#config = config;
    this.#trigger = trigger;
    this.#variables = variables;
    this.#env = env;
    this.#metrics = reloaderMetrics(env.metrics);
    this.#metrics.info.set({ method: trigger.method }, 1);
  }

  async run(): Promise<void> {
    const { signal, log } = this.#env;
    if (this.#config.configFile !== '') await this.#apply();
    if (this.#config.watchIntervalMs === 0) return;
    await this.#watch();
    log.info('watching the files of Prometheus', {
      config: this.#config.configFile,
      rules: this.#config.ruleDirectories.join(','),
      method: this.#trigger.method,
    });
    for (;;) {
      await this.#nextLook();
      if (signal.aborted) return;
      this.#metrics.applies.inc();
      try {
        await this.#apply();
        await this.#watch();
      } catch (thrown) {
        if (signal.aborted) return;
        this.#metrics.applyErrors.inc();
        log.error('cannot apply the files of Prometheus', { err: thrown });
      }
    }
  }

  [Symbol.dispose](): void {
    for (const watch of this.#watches.values()) watch[Symbol.dispose]();
  }

  /** Ends with the interval, or at once when a change was told of. */
  async #nextLook(): Promise<void> {
    const { clock, signal } = this.#env;
    using interval = deadline(clock, this.#config.watchIntervalMs, signal);
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (interval.signal.aborted) resolve();
        interval.signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    this.#changed = false;
  }

  async #apply(): Promise<void> {
    const { configFile, outputFile, watchIntervalMs } = this.#config;
    const hash = createHash('sha256');
    if (configFile !== '') {
      const content = await this.#env.disk.read(configFile);
      addFile(hash, configFile, content);
      if (outputFile !== '') await this.#writeOutput(content);
    }
    for (const directory of this.#config.ruleDirectories) await this.#addDirectory(hash, directory);
    const digest = hash.digest('hex');
    if (digest === this.#applied || watchIntervalMs === 0) return;
    this.#applied = undefined;
    if (await this.#reload()) this.#applied = digest;
  }

  /** Tries until the watch interval is over; says whether Prometheus has reloaded. */
  async #reload(): Promise<boolean> {
    const { clock, signal, log } = this.#env;
    const { watchIntervalMs, retryIntervalMs } = this.#config;
    using limit = deadline(clock, watchIntervalMs, signal);
    try {
      await untilSuccess(
        clock,
        retryIntervalMs,
        limit.signal,
        async () => {
          this.#metrics.reloads.inc();
          await this.#trigger.reload(limit.signal);
        },
        (thrown) => {
          this.#metrics.reloadErrors.inc();
          this.#metrics.lastSuccess.set(0);
          log.warn('Prometheus did not reload; trying again', { err: thrown });
        },
      );
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      this.#metrics.lastSuccess.set(0);
      log.error('Prometheus did not reload within the watch interval');
      return false;
    }
    this.#metrics.lastSuccess.set(1);
    this.#metrics.lastSuccessTime.set(clock.now() / 1000);
    log.info('Prometheus has reloaded');
    return true;
  }

  /** An output that would not change is left alone: Prometheus, or we ourselves, may watch it. */
  async #writeOutput(content: Uint8Array): Promise<void> {
    const { configFile, outputFile } = this.#config;
    const { disk } = this.#env;
    const expanded = this.#expand(configFile, content);
    const present = await disk.stat(outputFile);
    if (present !== undefined && Buffer.from(await disk.read(outputFile)).equals(expanded)) return;
    const temporary = `${outputFile}.tmp`;
    await disk.write(temporary, expanded);
    await disk.rename(temporary, outputFile);
  }

  #expand(source: string, content: Uint8Array): Buffer {
    const zipped = GZIP.every((byte, i) => content[i] === byte);
    const text = Buffer.from(zipped ? gunzipSync(content) : content).toString();
    try {
      const expanded = expandEnvironment(source, text, this.#variables);
      this.#metrics.expansionErrors.set(0);
      return Buffer.from(expanded);
    } catch (thrown) {
      this.#metrics.expansionErrors.set(1);
      throw thrown;
    }
  }

  /** Links to directories are not followed: in a mounted ConfigMap they lead to the same files again. */
  async #addDirectory(hash: Hash, directory: string): Promise<void> {
    const { disk } = this.#env;
    for (const { name, kind, isLink } of await disk.list(directory)) {
      const path = join(directory, name);
      if (kind === 'file') addFile(hash, path, await disk.read(path));
      else if (isLink !== true) await this.#addDirectory(hash, path);
    }
  }

  /** Watches every directory that holds something of ours, also those that have come since. */
  async #watch(): Promise<void> {
    const { configFile, ruleDirectories } = this.#config;
    const wanted = new Set(configFile === '' ? [] : [dirname(configFile)]);
    for (const directory of ruleDirectories) await this.#collect(directory, wanted);
    for (const [path, watch] of this.#watches) {
      if (wanted.has(path)) continue;
      watch[Symbol.dispose]();
      this.#watches.delete(path);
    }
    for (const path of wanted) {
      if (this.#watches.has(path)) continue;
      this.#watches.set(
        path,
        this.#env.disk.watch(path, (failure) => this.#told(path, failure)),
      );
    }
    this.#metrics.watches.set(this.#watches.size);
  }

  async #collect(directory: string, into: Set<string>): Promise<void> {
    into.add(directory);
    for (const { name, kind, isLink } of await this.#env.disk.list(directory)) {
      if (kind === 'directory' && isLink !== true) await this.#collect(join(directory, name), into);
    }
  }

  #told(path: string, failure: Error | undefined): void {
    if (failure === undefined) {
      this.#metrics.watchEvents.inc();
    } else {
      this.#metrics.watchErrors.inc();
      this.#env.log.error('cannot watch a directory', { path, err: failure });
      this.#watches.get(path)?.[Symbol.dispose]();
      this.#watches.delete(path);
    }
    this.#changed = true;
    this.#wake();
  }
}

type Hash = ReturnType<typeof createHash>;

function addFile(hash: Hash, path: string, content: Uint8Array): void {
  hash.update('\xff', 'latin1').update(path).update('\xff', 'latin1').update(content);
}
