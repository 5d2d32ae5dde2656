import { enableCompileCache } from 'node:module';

enableCompileCache();

const { runCli } = await import('./cli/cli.ts');
const { loadCommands } = await import('./cli/load-commands.ts');

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stop.abort(new Error(`stopped by ${signal}`));
    // Who asks twice does not want to wait for the end of running requests.
    process.once(signal, () => process.exit(1));
  });
}

process.exitCode = await runCli(
  await loadCommands(process.argv.slice(2)),
  process.argv.slice(2),
  {
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
  },
  stop.signal,
);
