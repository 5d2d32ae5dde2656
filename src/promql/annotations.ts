import type { PositionRange } from './ast.ts';

/**
 * The infos and warnings of one evaluation, each text once. Texts and limits are those of
 * util/annotations in Prometheus; positions become `(line:col)` when they are rendered.
 */
export class Annotations {
  readonly #warnings = new Map<string, PositionRange | undefined>();
  readonly #infos = new Map<string, PositionRange | undefined>();

  /** `text` without the `PromQL warning: ` in front. */
  warn(text: string, position?: PositionRange): void {
    if (!this.#warnings.has(text)) this.#warnings.set(text, position);
  }

  /** `text` without the `PromQL info: ` in front. */
  info(text: string, position?: PositionRange): void {
    if (!this.#infos.has(text)) this.#infos.set(text, position);
  }

  /** `PromQL warning: … (line:col)`, positions counted in `query`. */
  warnings(query: string): string[] {
    return render('PromQL warning: ', this.#warnings, query);
  }

  infos(query: string): string[] {
    return render('PromQL info: ', this.#infos, query);
  }
}

function render(
  prefix: string,
  entries: ReadonlyMap<string, PositionRange | undefined>,
  query: string,
): string[] {
  return Array.from(entries, ([text, position]) => {
    return position === undefined
      ? prefix + text
      : `${prefix}${text} (${lineColumn(query, position)})`;
  });
}

/** `line:col` of a position, both from 1. */
export function lineColumn(query: string, { start }: PositionRange): string {
  const before = query.slice(0, start).split('\n');
  return `${before.length}:${before.at(-1)!.length + 1}`;
}
