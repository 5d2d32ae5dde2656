import { RE2JS } from 're2js';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import type { TextPattern } from './commands.ts';

export const anyText: TextPattern = { text: '', matches: () => true };

export function exactly(text: string): TextPattern {
  return { text, matches: (actual) => actual === text };
}

/** @throws BadInputError if `pattern` is no RE2 expression. */
export function containing(pattern: string): TextPattern {
  try {
    const regex = RE2JS.compile(pattern);
    return { text: pattern, matches: (actual) => regex.matcher(actual).find() };
  } catch (thrown) {
    throw new BadInputError(messageOf(thrown), { cause: thrown });
  }
}
