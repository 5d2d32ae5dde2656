import type { Clock } from '#/lib/clock.ts';
import type { Disk } from '#/lib/disk.ts';
import type { Net } from '#/lib/net.ts';
import type { MemoryProbe } from '#/lib/process-memory.ts';
import type { Processes } from '#/lib/processes.ts';
import type { Random } from '#/lib/random.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { Probe } from '#/telemetry/probe.ts';

/** Everything a component may touch outside itself. A simulation passes in its own. */
export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly net: Net;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly probe: Probe;
  /** Absent where nobody can tell processes apart. */
  readonly processes?: Processes;
  /** Absent where several components share a process that nobody measures. */
  readonly memory?: MemoryProbe;
  /** Aborts when the process should stop. */
  readonly signal: AbortSignal;
}
