import { markup } from './html.ts';
import type { Html } from './html.ts';

/** The name of a column; `number` for one of figures, which stand to the right. */
export type Column = string | { readonly number: string };

/** A table that can be moved sideways where it is too wide; `rows` are its `<tr>`. */
export function table(columns: readonly Column[], rows: readonly Html[]): Html {
  const heads = columns.map((column) =>
    typeof column === 'string'
      ? markup`<th>${column}</th>`
      : markup`<th class="num">${column.number}</th>`,
  );
  return markup`<div class="scroll">
    <table>
      <thead>
        <tr>
          ${heads}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}
