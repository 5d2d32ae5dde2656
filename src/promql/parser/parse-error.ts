import { BadInputError } from '#/lib/errors.ts';
import { utf8Length } from '#/lib/utf8.ts';

/**
 * The first thing wrong with a PromQL text, worded as Prometheus does:
 * `line:col: parse error: what`. Columns count UTF-8 bytes.
 */
export class PromqlParseError extends BadInputError {
  /** The message without the place in front. */
  readonly detail: string;
  /** UTF-16 position in the text. */
  readonly start: number;

  constructor(text: string, start: number, detail: string) {
    super(`${placeOf(text, start)}: parse error: ${detail}`);
    this.detail = detail;
    this.start = start;
  }
}

function placeOf(text: string, start: number): string {
  if (text === '') return 'unknown position';
  return lineColumnAt(text, start);
}

/** `line:col` of a UTF-16 position, both from 1, columns in UTF-8 bytes. */
export function lineColumnAt(text: string, start: number): string {
  const before = text.slice(0, start);
  const lineStart = before.lastIndexOf('\n') + 1;
  let line = 1;
  for (let at = before.indexOf('\n'); at >= 0; at = before.indexOf('\n', at + 1)) line++;
  return `${line}:${utf8Length(before.slice(lineStart)) + 1}`;
}
