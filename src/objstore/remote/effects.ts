import type { Clock } from '#/lib/clock.ts';
import type { Disk } from '#/lib/disk.ts';
import type { Random } from '#/lib/random.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { HedgingConfig } from './hedging.ts';

/** What a bucket of any provider takes from outside. */
export interface RemoteEffects {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Proxy variables, and those of emulators; SDKs look for credentials in the process's own. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Requests a second at most; 0 for no bound. */
  readonly maxQps: number;
  /** Without it, no read is sent twice before it fails. */
  readonly hedging: HedgingConfig | undefined;
}
