import { nearest } from '#/lib/nearest.ts';
import type { Command } from './command.ts';

export type Choice =
  | { readonly kind: 'command'; readonly command: Command; readonly args: readonly string[] }
  /** Names nothing to run: a group such as `tools bucket`, or, with a problem, no command at all. */
  | {
      readonly kind: 'group';
      readonly group: string;
      readonly commands: readonly Command[];
      readonly args: readonly string[];
      readonly problem?: string;
    };

/**
 * Finds the command whose words `argv` names: `tools bucket ls`. As in Thanos, flags may stand
 * between the words (`tools bucket --objstore.config-file=x ls`); they go to the command.
 */
export function chooseCommand(commands: readonly Command[], argv: readonly string[]): Choice {
  const flags: string[] = [];
  let path = '';
  let candidates = commands;
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i]!;
    if (!candidates.some(({ name }) => name !== path)) return choice([...flags, ...argv.slice(i)]);
    if (arg.startsWith('-')) {
      flags.push(arg);
      if (takesNext(candidates, arg) && i + 1 < argv.length) flags.push(argv[++i]!);
      continue;
    }
    const longer = path === '' ? arg : `${path} ${arg}`;
    const found = commands.filter(({ name }) => `${name} `.startsWith(`${longer} `));
    if (found.length === 0) return choice([...flags, ...argv.slice(i)], arg);
    path = longer;
    candidates = found;
  }
  return choice(flags);

  function choice(args: readonly string[], unknown?: string): Choice {
    const command = candidates.find(({ name }) => name === path);
    if (command !== undefined) return { kind: 'command', command, args };
    const group = { kind: 'group', group: path, commands: candidates, args } as const;
    return unknown === undefined
      ? group
      : { ...group, problem: unknownCommand(unknown, path, candidates) };
  }
}

/** Whether the value of this flag is the next argument, by whichever command knows the flag. */
function takesNext(commands: readonly Command[], arg: string): boolean {
  if (arg.includes('=') || arg === '--') return false;
  const name = arg.replace(/^--?/, '');
  const isLong = arg.startsWith('--');
  const specs = commands.flatMap(({ flags }) => Object.entries(flags));
  const spec = specs.find(([long, { short }]) => (isLong ? long === name : short === name))?.[1];
  return spec !== undefined && !spec.isSwitch;
}

function unknownCommand(word: string, path: string, commands: readonly Command[]): string {
  const depth = path === '' ? 0 : path.split(' ').length;
  const names = [...new Set(commands.map(({ name }) => name.split(' ')[depth]!))];
  const near = nearest(word, names);
  const what = `unknown command "${path === '' ? word : `${path} ${word}`}"`;
  return near === undefined
    ? `${what}; use one of ${names.join(', ')}`
    : `${what}; did you mean ${near}?`;
}
