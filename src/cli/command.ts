import type { Runtime } from '#/components/runtime.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import { nodeNet } from '#/lib/net.ts';
import { nodeMemory } from '#/components/node-memory.ts';
import { nodeProcesses } from '#/components/node-processes.ts';
import { systemRandom } from '#/lib/random.ts';
import type { LogLevel } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { openLog } from '#/telemetry/pino-log.ts';
import type { LogFormat } from '#/telemetry/pino-log.ts';
import { Probe } from '#/telemetry/probe.ts';
import { parseFlags } from './flags.ts';
import type { FlagTable, FlagValues } from './flags.ts';

/** One subcommand. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly flags: FlagTable;
  /** Runs to the end, or until `signal` aborts; the result is the exit code. */
  run(args: readonly string[], signal: AbortSignal): Promise<number>;
}

interface CommandOptions<Table extends FlagTable> {
  readonly name: string;
  readonly summary: string;
  readonly flags: Table;
  /** Flags of Thanos that the command does not have yet. */
  readonly planned: readonly string[];
}

type LoggingFlags = { readonly 'log.level': LogLevel; readonly 'log.format': LogFormat };

/** A command that is a component: it takes no arguments and runs until it is told to stop. */
export function componentCommand<Table extends FlagTable>(
  options: CommandOptions<Table>,
  run: (values: FlagValues<Table>, runtime: Runtime) => Promise<void>,
): Command {
  return command(options, async (values, positionals, signal) => {
    if (positionals.length > 0) {
      throw new BadInputError(
        `unexpected argument "${positionals[0]}"; see hindsight ${options.name} --help`,
      );
    }
    const runtime = openRuntime(values as unknown as LoggingFlags, signal);
    try {
      await run(values, runtime);
      return 0;
    } catch (thrown) {
      if (signal.aborted) return 0;
      if (thrown instanceof BadInputError) throw thrown;
      runtime.log.error(`${options.name} failed`, { err: thrown });
      return 1;
    }
  });
}

export function command<Table extends FlagTable>(
  { name, summary, flags, planned }: CommandOptions<Table>,
  run: (
    values: FlagValues<Table>,
    positionals: readonly string[],
    signal: AbortSignal,
  ) => Promise<number>,
): Command {
  return {
    name,
    summary,
    flags,
    run: (args, signal) => {
      const { values, positionals } = parseFlags(flags, args, planned);
      return run(values, positionals, signal);
    },
  };
}

/** The real effects of a process. Log lines go to `writeLog`, by default to standard error. */
export function openRuntime(
  logging: LoggingFlags,
  signal: AbortSignal,
  writeLog?: (line: string) => void,
): Runtime {
  const metrics = new Metrics();
  metrics.collectProcessMetrics();
  return {
    clock: systemClock,
    memory: nodeMemory(),
    random: systemRandom,
    disk: nodeDisk,
    net: nodeNet,
    processes: nodeProcesses,
    log: openLog({
      level: logging['log.level'],
      format: logging['log.format'],
      ...(writeLog === undefined ? {} : { write: writeLog }),
    }),
    metrics,
    probe: new Probe(),
    signal,
  };
}
