import { parseArgs } from 'node:util';
import { BadInputError } from '#/lib/errors.ts';
import { nearest } from '#/lib/nearest.ts';
import { splitAddress } from '#/lib/net.ts';
import { formatByteSize, parseByteSize } from '#/model/byte-size.ts';
import { formatDuration, parseDuration } from '#/model/time.ts';
import { parseTimeOrDuration } from '#/model/time-or-duration.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';

/**
 * One command-line flag. A command's flags are a table from name (without dashes) to `Flag`; the
 * table gives the typed values, `--help` and the documentation, so that they cannot disagree.
 */
export interface Flag<T> {
  readonly help: string;
  /** What stands for the value in the help: `DURATION`, `URL`. Empty for a switch. */
  readonly placeholder: string;
  /** The default as one would write it; `undefined` when there is none. */
  readonly defaultText: string | undefined;
  readonly isSwitch: boolean;
  readonly isRepeatable: boolean;
  /** Accepted, not listed. */
  readonly isHidden: boolean;
  /** One letter that stands for the name: `-o`. */
  readonly short?: string;
  /** Turns the texts that were given, in order, into the value. Never called with none. */
  readonly parse: (texts: readonly string[]) => T;
  /** The value as one would write it. Default: its JSON, or the text that it is. */
  print?(value: T): string;
  readonly defaultValue: T;
}

export type FlagTable = Readonly<Record<string, Flag<unknown>>>;
export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Flag<infer T> ? T : never;
};

/** YAML given in place (`--x`) or as a file (`--x-file`); who reads it knows which, for messages. */
export interface ConfigSource {
  readonly flag: string;
  readonly text?: string;
  readonly path?: string;
}

interface Common {
  readonly help: string;
  readonly hidden?: boolean;
  readonly short?: string;
}

interface WithDefault<T> extends Common {
  readonly default: T;
}

/** A flag of one value, whose default is written the way the user would write it. */
function single<T>(
  placeholder: string,
  parse: (text: string) => T,
  { help, hidden = false, short, default: defaultText }: WithDefault<string>,
  print?: (value: T) => string,
): Flag<T> {
  return {
    ...(print === undefined ? {} : { print }),
    help,
    placeholder,
    defaultText,
    isSwitch: false,
    isRepeatable: false,
    isHidden: hidden,
    ...shortOf(short),
    parse: (texts) => parse(texts.at(-1)!),
    defaultValue: parse(defaultText),
  };
}

/** The kinds of flags. */
export const flag = {
  text: (options: WithDefault<string>) => single('TEXT', (text) => text, options),

  /** Where to listen; checked here, so that a typo is known before anything starts. */
  address: (options: WithDefault<string>) => single('HOST:PORT', parseAddress, options),

  /** Milliseconds. */
  duration: (options: WithDefault<string>) =>
    single('DURATION', parseDuration, options, formatDuration),

  integer: (options: WithDefault<string>) => single('NUMBER', parseInteger, options),

  bytes: (options: WithDefault<string>) => single('SIZE', parseByteSize, options, formatByteSize),

  time: (options: WithDefault<string>): Flag<TimeOrDuration> =>
    single('TIME', parseTimeOrDuration, options),

  oneOf<const Choice extends string>(
    choices: readonly Choice[],
    options: WithDefault<Choice>,
  ): Flag<Choice> {
    const parse = (text: string) => {
      const choice = choices.find((candidate) => candidate === text);
      if (choice === undefined) {
        throw new BadInputError(`must be one of ${choices.join(', ')}, got "${text}"`);
      }
      return choice;
    };
    return single(choices.join('|'), parse, options);
  },

  toggle({
    help,
    hidden = false,
    short,
    default: defaultValue,
  }: WithDefault<boolean>): Flag<boolean> {
    return {
      help,
      placeholder: '',
      defaultText: String(defaultValue),
      isSwitch: true,
      isRepeatable: false,
      isHidden: hidden,
      ...shortOf(short),
      parse: (texts) => texts.at(-1) === 'true',
      defaultValue,
    };
  },

  /** May be given more than once. */
  list({
    help,
    hidden = false,
    short,
    placeholder = 'TEXT',
    default: defaultValue = [],
  }: Common & { placeholder?: string; default?: readonly string[] }): Flag<readonly string[]> {
    return {
      help,
      placeholder,
      defaultText: defaultValue.length === 0 ? undefined : defaultValue.join(', '),
      isSwitch: false,
      isRepeatable: true,
      isHidden: hidden,
      ...shortOf(short),
      parse: (texts) => texts,
      print: (values) => values.join(','),
      defaultValue,
    };
  },

  optionalInteger({ help, hidden = false }: Common): Flag<number | undefined> {
    return { ...single('NUMBER', parseInteger, { help, hidden, default: '0' }), ...unset };
  },

  optionalDuration({ help, hidden = false }: Common): Flag<number | undefined> {
    const options = { help, hidden, default: '0s' };
    const print = (value: number | undefined) => formatDuration(value ?? 0);
    return { ...single('DURATION', parseDuration, options), print, ...unset };
  },
};

function shortOf(short: string | undefined): { readonly short?: string } {
  return short === undefined ? {} : { short };
}

const unset = { defaultText: undefined, defaultValue: undefined };

/** The pair of flags `--name` (YAML in place) and `--name-file` (a path). */
export function configFlags<Name extends string>(
  name: Name,
  { help, hidden = false }: Common,
): Record<Name | `${Name}-file`, Flag<ConfigSource | undefined>> {
  const base = {
    defaultText: undefined,
    defaultValue: undefined,
    isSwitch: false,
    isRepeatable: false,
    isHidden: hidden,
    print: (value: ConfigSource | undefined) => value?.text ?? value?.path ?? '',
  };
  const inPlace: Flag<ConfigSource | undefined> = {
    ...base,
    help: `${help} (YAML in place; excludes --${name}-file)`,
    placeholder: 'YAML',
    parse: (texts) => ({ flag: `--${name}`, text: texts.at(-1)! }),
  };
  const file: Flag<ConfigSource | undefined> = {
    ...base,
    help: `${help} (path of a YAML file)`,
    placeholder: 'FILE',
    parse: (texts) => ({ flag: `--${name}-file`, path: texts.at(-1)! }),
  };
  return { [name]: inPlace, [`${name}-file`]: file } as Record<
    Name | `${Name}-file`,
    Flag<ConfigSource | undefined>
  >;
}

/** Every flag's value in force, as `/api/v1/status/flags` answers them; `''` where there is none. */
export function flagTexts<Table extends FlagTable>(
  table: Table,
  values: FlagValues<Table>,
): Record<string, string> {
  const given: Readonly<Record<string, unknown>> = values;
  const texts = Object.entries(table).map(([name, spec]) => {
    const value = given[name];
    return [name, value === undefined ? '' : (spec.print?.(value) ?? textOf(value))] as const;
  });
  return Object.fromEntries(texts);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The one that was given of a pair of `configFlags`. @throws BadInputError if both were. */
export function configSource(
  inPlace: ConfigSource | undefined,
  file: ConfigSource | undefined,
): ConfigSource | undefined {
  if (inPlace !== undefined && file !== undefined) {
    throw new BadInputError(`${inPlace.flag} and ${file.flag} exclude each other; give one`);
  }
  return inPlace ?? file;
}

/**
 * Parses the flags of a command.
 *
 * @param planned flags of Thanos that the command does not have yet: naming one is an error that
 *   says so, instead of a flag without effect.
 * @throws BadInputError naming the flag and, for an unknown one, the nearest known.
 */
export function parseFlags<Table extends FlagTable>(
  table: Table,
  args: readonly string[],
  planned: readonly string[] = [],
): { values: FlagValues<Table>; positionals: string[] } {
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { isSwitch, short }]) => [
      name,
      { type: isSwitch ? 'boolean' : 'string', multiple: true, ...shortOf(short) } as const,
    ]),
  );
  const parsed = parseArgs({
    args: [...args],
    options,
    strict: false,
    tokens: true,
    allowNegative: true,
    allowPositionals: true,
  });
  for (const token of parsed.tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, text } = readOption(table, token, planned);
    given.set(name, [...(given.get(name) ?? []), text]);
  }
  const values = Object.entries(table).map(([name, spec]) => {
    return [name, valueOf(name, spec, given.get(name))];
  });
  return { values: Object.fromEntries(values) as FlagValues<Table>, positionals };
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function readOption(
  table: FlagTable,
  token: OptionToken,
  planned: readonly string[],
): { name: string; text: string } {
  const negated = token.rawName.startsWith('--no-') && !Object.hasOwn(table, token.name);
  const name = negated ? token.rawName.slice('--no-'.length) : token.name;
  const spec = Object.hasOwn(table, name) ? table[name] : undefined;
  if (spec === undefined) throw unknownFlag(table, token.rawName, planned);
  if (spec.isSwitch) {
    if (token.value !== undefined && token.value !== 'true' && token.value !== 'false') {
      throw new BadInputError(`--${name}: is a switch; write --${name} or --no-${name}`);
    }
    const on = negated
      ? 'false'
      : (token.value ?? (token.rawName.startsWith('--no-') ? 'false' : 'true'));
    return { name, text: on };
  }
  if (token.value === undefined) {
    throw new BadInputError(`--${name}: expected a value (${spec.placeholder})`);
  }
  return { name, text: token.value };
}

function valueOf(name: string, spec: Flag<unknown>, texts: readonly string[] | undefined): unknown {
  if (texts === undefined) return spec.defaultValue;
  if (texts.length > 1 && !spec.isRepeatable && !spec.isSwitch) {
    throw new BadInputError(`--${name}: given ${texts.length} times; give it once`);
  }
  try {
    return spec.parse(texts);
  } catch (thrown) {
    if (!(thrown instanceof BadInputError)) throw thrown;
    throw new BadInputError(`--${name}: ${thrown.message}`, { cause: thrown });
  }
}

function unknownFlag(table: FlagTable, rawName: string, planned: readonly string[]): BadInputError {
  const name = rawName.replace(/^--?/, '').replace(/^no-/, '');
  if (planned.includes(name)) {
    return new BadInputError(
      `--${name}: a flag of Thanos that Hindsight does not have yet; remove it`,
    );
  }
  const near = nearest(name, Object.keys(table));
  const hint = near === undefined ? 'see --help' : `did you mean --${near}?`;
  return new BadInputError(`unknown flag ${rawName}; ${hint}`);
}

function parseAddress(text: string): string {
  splitAddress(text);
  return text;
}

function parseInteger(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new BadInputError(`must be a whole number, got "${text}"`);
  return Number(text);
}
