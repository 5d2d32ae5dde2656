import { readFileSync } from 'node:fs';
import { expandEnvironment } from '#/config/yaml.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import type { ConfigSource } from './flags.ts';

/** A configuration's text, and the flag that it came from for messages. */
export interface ConfigText {
  readonly source: string;
  readonly text: string;
}

/**
 * The text that a pair of config flags names, `$(NAME)` replaced by the environment if `expand` is set.
 * @throws BadInputError naming the flag and the file that cannot be read.
 */
export function readConfig(
  { flag, text, path }: ConfigSource,
  expand: 'expand' | 'as-it-is' = 'as-it-is',
): ConfigText {
  const source = path === undefined ? flag : `${flag}=${path}`;
  const read = text ?? readFile(flag, path!);
  return {
    source,
    text: expand === 'expand' ? expandEnvironment(source, read, process.env) : read,
  };
}

function readFile(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new BadInputError(`${flag}: cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
}
