import { plainProgress, TerminalBar } from '#/components/tools-bucket.ts';
import type { BucketTool } from '#/components/tools-bucket.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { isUlid } from '#/lib/ulid.ts';
import { withReason } from '#/objstore/with-reason.ts';
import { command, openRuntime } from '../../command.ts';
import type { Command } from '../../command.ts';
import { globalFlags, objstoreFlags, plannedGlobalFlags } from '../../common-flags.ts';
import { configFlags, configSource, flag } from '../../flags.ts';
import type { ConfigSource, FlagTable, FlagValues } from '../../flags.ts';
import { bucketOf } from '../shared.ts';

const commonFlags = { ...globalFlags, ...objstoreFlags };
type CommonFlags = typeof commonFlags;

/** Flags that choose blocks by their external labels. */
export const selectorFlags = configFlags('selector.relabel-config', {
  help: 'Which blocks to look at: relabeling (keep, drop, hashmod) of their external labels.',
});

/** Flags that choose blocks by their time. */
export const timeRangeFlags = {
  'min-time': flag.time({
    help: 'Nothing older: RFC 3339, or a duration relative to now such as -2w.',
    default: '0000-01-01T00:00:00Z',
  }),
  'max-time': flag.time({
    help: 'Nothing newer: RFC 3339, or a duration relative to now such as -2h.',
    default: '9999-12-31T23:59:59Z',
  }),
};

export const timeoutFlags = {
  timeout: flag.duration({ help: 'How long looking at the bucket may take.', default: '5m' }),
};

/** @throws BadInputError for a text that is no ULID. */
export function parseIds(texts: readonly string[]): readonly string[] {
  const wrong = texts.find((text) => !isUlid(text));
  if (wrong === undefined) return texts;
  throw new BadInputError(`--id: must be the ULID of a block, 26 characters, got "${wrong}"`);
}

/** `hindsight tools bucket NAME`: opens the bucket, runs, and closes it. */
export function bucketToolCommand<Table extends FlagTable>(
  options: {
    readonly name: string;
    readonly summary: string;
    readonly flags: Table;
    /** Flags of Thanos that the command does not have yet, besides those for all commands. */
    readonly planned?: readonly string[];
  },
  run: (values: FlagValues<Table> & FlagValues<CommonFlags>, tool: BucketTool) => Promise<number>,
): Command {
  const name = `tools bucket ${options.name}`;
  return command(
    {
      name,
      summary: options.summary,
      flags: { ...commonFlags, ...options.flags },
      planned: [...plannedGlobalFlags, ...(options.planned ?? [])],
    },
    async (all, positionals, signal) => {
      if (positionals.length > 0) {
        throw new BadInputError(`unexpected argument "${positionals[0]}"; see --help`);
      }
      const values = all as unknown as FlagValues<CommonFlags> & FlagValues<Table>;
      const bar = process.stderr.isTTY
        ? new TerminalBar((text) => void process.stderr.write(text))
        : undefined;
      const above = (write: () => void) => (bar === undefined ? write() : bar.above(write));
      const runtime = openRuntime(values, signal, (line) =>
        above(() => void process.stderr.write(line)),
      );
      const openBucket = bucketOf(requiredBucket(values), values);
      try {
        await using bucket = await openBucket(runtime);
        return await run(values, {
          ...runtime,
          bucket: withReason(bucket, 'tools'),
          write: (text) => above(() => void process.stdout.write(text)),
          progress: bar?.start ?? plainProgress(runtime.log),
        });
      } catch (thrown) {
        if (thrown instanceof BadInputError) throw thrown;
        runtime.log.error(`${name} failed`, {
          err: signal.aborted ? messageOf(signal.reason) : thrown,
        });
        return 1;
      }
    },
  );
}

function requiredBucket(values: FlagValues<CommonFlags>): ConfigSource {
  const source = configSource(values['objstore.config'], values['objstore.config-file']);
  if (source !== undefined) return source;
  throw new BadInputError('--objstore.config or --objstore.config-file is required');
}
