import { BadInputError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';

/**
 * Reads `name="value"` pairs, as Thanos's label flags take them.
 * @throws BadInputError naming the flag and the pair.
 */
export function parseLabelFlags(flag: string, texts: readonly string[]): Labels {
  const pairs = texts.map((text) => {
    const match = /^([^=]+)=(".*")$/s.exec(text);
    const value = match === null ? undefined : unquote(match[2]!);
    if (value === undefined) throw new BadInputError(`${flag}: want name="value", got ${text}`);
    return { name: match![1]!, value };
  });
  return Labels.from(pairs);
}

function unquote(text: string): string | undefined {
  try {
    return JSON.parse(text) as string;
  } catch {
    return undefined;
  }
}
