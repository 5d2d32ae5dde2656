import type { Clock } from '#/lib/clock.ts';
import { every } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { untilSuccess } from '#/lib/retry.ts';
import { Labels } from '#/model/labels.ts';
import { MIN_TIME } from '#/model/time.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import type { PrometheusClient } from '#/storeapi/prometheus-client.ts';
import type { PrometheusState } from '#/storeapi/prometheus-store.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { Probe } from '#/telemetry/probe.ts';
import { checkFlags } from './check-flags.ts';
import type { UploadSettings } from './check-flags.ts';

export interface PrometheusWatchOptions {
  readonly client: PrometheusClient;
  /** Between two heartbeats, and between tries at the start. */
  readonly intervalMs: number;
  /** For everything that one heartbeat asks. */
  readonly timeoutMs: number;
  /** Nothing older is served. */
  readonly minTime: TimeOrDuration;
  /** When blocks are uploaded, Prometheus's flags must allow it. */
  readonly upload?: UploadSettings;
}

interface Environment {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly probe: Probe;
}

const FLAGS_RETRY_MS = 2000;

/** Keeps an eye on a Prometheus: whether it answers, its external labels and its oldest sample. */
export class PrometheusWatch {
  readonly #options: PrometheusWatchOptions;
  readonly #env: Environment;
  readonly #up: { set(value: number): void };
  readonly #lastHeartbeat: { set(value: number): void };
  #externalLabels = Labels.empty;
  #lowest: number | undefined;
  #version = '';

  constructor(options: PrometheusWatchOptions, env: Environment) {
    this.#options = options;
    this.#env = env;
    this.#up = env.metrics.gauge({
      name: 'thanos_sidecar_prometheus_up',
      help: 'Boolean indicator whether the sidecar can reach its Prometheus peer.',
    });
    this.#lastHeartbeat = env.metrics.gauge({
      name: 'thanos_sidecar_last_heartbeat_success_time_seconds',
      help: 'Timestamp of the last successful heartbeat in seconds.',
    });
  }

  get state(): PrometheusState {
    return {
      externalLabels: this.#externalLabels,
      mint: Math.max(this.#options.minTime(this.#env.clock.now()), this.#lowest ?? MIN_TIME),
      version: this.#version,
    };
  }

  /**
   * Resolves when everything is known that serving needs; until then it asks again and again.
   * @throws BadInputError if Prometheus has no external labels.
   */
  async start(signal: AbortSignal): Promise<void> {
    const { client, upload } = this.#options;
    if (upload !== undefined) {
      await this.#insist('flags', signal, (until) => this.#checkFlags(upload, until));
    }
    await this.#insist('version', signal, async (until) => {
      this.#version = await client.version(until);
    });
    await this.#insist('external labels', signal, (until) => this.#refresh(until));
    if (this.#externalLabels.size === 0) {
      throw new BadInputError(
        'Prometheus has no external labels, by which its data is told apart from that of others; ' +
          'set global.external_labels in its configuration, such as {cluster: eu, replica: "0"}',
      );
    }
    this.#env.log.info('Prometheus is known', {
      external_labels: String(this.#externalLabels),
      version: this.#version,
    });
    this.#up.set(1);
  }

  /** Heartbeats until the signal aborts: ready at first and while Prometheus answers, not ready while it does not. */
  run(signal: AbortSignal): Promise<void> {
    this.#beat();
    return every(this.#env.clock, this.#options.intervalMs, signal, async () => {
      try {
        await this.#attempt(signal, (until) => this.#refresh(until));
        this.#beat();
      } catch (thrown) {
        if (signal.aborted) throw thrown;
        this.#env.log.warn('Prometheus does not answer', { err: thrown });
        this.#up.set(0);
        this.#env.probe.notReady(messageOf(thrown));
      }
    });
  }

  #beat(): void {
    this.#up.set(1);
    this.#lastHeartbeat.set(this.#env.clock.now() / 1000);
    this.#env.probe.ready();
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    this.#lowest = await client.lowestTimestamp(signal);
    this.#externalLabels = await client.externalLabels(signal);
  }

  /** While Prometheus starts, it is asked more often than what it answers is checked. */
  async #checkFlags(upload: UploadSettings, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#env;
    const flags = await untilSuccess(
      clock,
      FLAGS_RETRY_MS,
      signal,
      () => this.#options.client.flags(signal),
      (thrown) => log.warn('cannot read the flags of Prometheus; is it running?', { err: thrown }),
    );
    if (flags === undefined) {
      log.warn('Prometheus is too old to tell its flags; they are not checked');
      return;
    }
    for (const warning of checkFlags(flags, upload)) log.warn(warning);
  }

  async #insist(
    what: string,
    signal: AbortSignal,
    ask: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { clock, log, probe } = this.#env;
    await untilSuccess(
      clock,
      this.#options.intervalMs,
      signal,
      () => this.#attempt(signal, ask),
      (thrown) => {
        log.warn(`cannot use the ${what} of Prometheus; trying again`, { err: thrown });
        probe.notReady(messageOf(thrown));
      },
    );
  }

  async #attempt(signal: AbortSignal, ask: (signal: AbortSignal) => Promise<void>): Promise<void> {
    using limit = deadline(this.#env.clock, this.#options.timeoutMs, signal);
    await ask(limit.signal);
  }
}
