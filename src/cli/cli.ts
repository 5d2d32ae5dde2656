import { readFile } from 'node:fs/promises';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { chooseCommand } from './choose-command.ts';
import type { Command } from './command.ts';
import { commandHelp, overview } from './help.ts';
import type { CommandHelp } from './help.ts';
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
  const [name] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    terminal.out(overview(topLevel(commands)));
    return name === undefined ? USAGE : 0;
  }
  if (name === '--version' || name === 'version') {
    terminal.out(`hindsight ${version} (node ${process.version})\n`);
    return 0;
  }
  const choice = chooseCommand(commands, argv);
  const wantsHelp = choice.args.includes('--help') || choice.args.includes('-h');
  if (choice.kind === 'group') {
    if (choice.problem === undefined) terminal.out(overview(choice.commands, choice.group));
    else terminal.error(`hindsight: ${choice.problem}\n`);
    return wantsHelp && choice.problem === undefined ? 0 : USAGE;
  }
  const { command, args } = choice;
  if (wantsHelp) {
    terminal.out(commandHelp(command));
    return 0;
  }
  try {
    return await command.run(await expandFiles(args), signal);
  } catch (thrown) {
    if (!(thrown instanceof BadInputError)) throw thrown;
    terminal.error(`hindsight ${command.name}: ${messageOf(thrown)}\n`);
    return USAGE;
  }
}

/** One line for all commands of a group keeps the overview short. */
function topLevel(commands: readonly Command[]): CommandHelp[] {
  const seen = new Map<string, CommandHelp>();
  for (const { name, summary, flags } of commands) {
    const words = name.split(' ');
    const group = words.slice(0, -1).join(' ');
    if (words.length === 1) seen.set(name, { name, summary, flags });
    else
      seen.getOrInsert(group, {
        name: group,
        summary: `'hindsight ${group} --help' lists its commands.`,
        flags: {},
      });
  }
  return [...seen.values()];
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
