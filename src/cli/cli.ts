import { readFile } from 'node:fs/promises';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { nearest } from '#/lib/nearest.ts';
import type { Command } from './command.ts';
import { commandHelp, overview } from './help.ts';
import { version } from './version.ts';

/** Where the command line reads and writes; tests give their own. */
export interface Terminal {
  out(text: string): void;
  error(text: string): void;
}

/** Exit code for a command line that cannot be understood. */
const USAGE = 2;

/**
 * Runs `hindsight ARGS…` until it ends or `signal` aborts and gives the exit code: 0 when all went
 * well, 1 when it failed, 2 when the command line is wrong.
 */
export async function runCli(
  commands: readonly Command[],
  argv: readonly string[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    terminal.out(overview(commands));
    return name === undefined ? USAGE : 0;
  }
  if (name === '--version' || name === 'version') {
    terminal.out(`hindsight ${version} (node ${process.version})\n`);
    return 0;
  }
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined) {
    terminal.error(`hindsight: ${unknownCommand(name, commands)}\n`);
    return USAGE;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    terminal.out(commandHelp(command));
    return 0;
  }
  try {
    return await command.run(await expandFiles(rest), signal);
  } catch (thrown) {
    if (!(thrown instanceof BadInputError)) throw thrown;
    terminal.error(`hindsight ${name}: ${messageOf(thrown)}\n`);
    return USAGE;
  }
}

function unknownCommand(name: string, commands: readonly Command[]): string {
  const names = commands.map((command) => command.name);
  const near = nearest(name, names);
  return near === undefined
    ? `unknown command "${name}"; use one of ${names.join(', ')}`
    : `unknown command "${name}"; did you mean ${near}?`;
}

/** `@file` stands for the arguments in the file, one a line; lines that begin with `#` are comments. */
async function expandFiles(args: readonly string[]): Promise<string[]> {
  const expanded = args.map(async (arg) => {
    if (!arg.startsWith('@')) return [arg];
    const path = arg.slice(1);
    const text = await readFile(path, 'utf8').catch((cause: unknown) => {
      throw new BadInputError(`${arg}: cannot read ${path}: ${messageOf(cause)}`, { cause });
    });
    return text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  });
  return (await Promise.all(expanded)).flat();
}
