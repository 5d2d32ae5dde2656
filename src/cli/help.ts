import type { FlagTable } from './flags.ts';

export interface CommandHelp {
  readonly name: string;
  readonly summary: string;
  readonly flags: FlagTable;
}

const COLUMN = 34;
const WIDTH = 100;

/** What `hindsight COMMAND --help` prints. */
export function commandHelp({ name, summary, flags }: CommandHelp): string {
  const lines = Object.entries(flags)
    .filter(([, flag]) => !flag.isHidden)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([flagName, flag]) => {
      const long = flag.isSwitch ? `--[no-]${flagName}` : `--${flagName}=${flag.placeholder}`;
      const written = flag.short === undefined ? long : `-${flag.short}, ${long}`;
      const notes = [flag.help];
      if (flag.isRepeatable) notes.push('May be given more than once.');
      if (flag.defaultText !== undefined && flag.defaultText !== '') {
        notes.push(`Default: ${flag.defaultText}.`);
      }
      return entry(written, notes.join(' '));
    });
  return [`usage: hindsight ${name} [flags]`, '', summary, '', 'Flags:', ...lines, ''].join('\n');
}

/** What `hindsight --help` prints, and `hindsight tools bucket --help` of the commands in a group. */
export function overview(commands: readonly CommandHelp[], group = ''): string {
  const about = 'Long-term storage, one global query view and high availability for Prometheus.';
  return [
    `usage: hindsight ${group === '' ? '' : `${group} `}<command> [flags]`,
    '',
    ...(group === '' ? [about, ''] : []),
    'Commands:',
    ...commands.flatMap(({ name, summary }) => entry(name, summary)),
    '',
    "'hindsight <command> --help' lists the command's flags.",
    '',
  ].join('\n');
}

function entry(left: string, text: string): string[] {
  const lines = wrap(text, WIDTH - COLUMN);
  const padded = lines.map((line, i) => (i === 0 ? '' : ' '.repeat(COLUMN)) + line);
  const head = `  ${left}`;
  if (head.length >= COLUMN)
    return [head, ...padded.map((line) => ' '.repeat(COLUMN) + line.trimStart())];
  return [head.padEnd(COLUMN) + padded[0]!, ...padded.slice(1)];
}

function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
