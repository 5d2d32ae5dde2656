export const tableFormats = ['table', 'tsv', 'csv'] as const;
export type TableFormat = (typeof tableFormats)[number];

/** A table for people, or as values separated by tabs or commas; each line ends in a newline. */
export function printTable(
  format: TableFormat,
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  switch (format) {
    case 'table':
      return printAligned(header, rows);
    case 'tsv':
      return printSeparated('\t', [header, ...rows]);
    case 'csv':
      return printSeparated(',', [header, ...rows]);
  }
}

/** Names in the middle of their columns, values on the left, as Thanos's tables are. */
function printAligned(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((name, i) =>
    Math.max(lengthOf(name), ...rows.map((row) => lengthOf(row[i] ?? ''))),
  );
  const names = header.map((name, i) => {
    const left = Math.floor((widths[i]! - lengthOf(name)) / 2);
    return pad(' '.repeat(left) + name, widths[i]!);
  });
  const lines = [
    `| ${names.join(' | ')} |`,
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...rows.map((row) => `| ${row.map((value, i) => pad(value, widths[i]!)).join(' | ')} |`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function printSeparated(separator: string, rows: readonly (readonly string[])[]): string {
  return rows
    .map((row) => `${row.map((value) => quoteIfNeeded(value, separator)).join(separator)}\n`)
    .join('');
}

/** RFC 4180, and as Go also a value that begins with a space. */
function quoteIfNeeded(value: string, separator: string): string {
  const special = /["\r\n]|^\s/.test(value) || value.includes(separator);
  return special ? `"${value.replaceAll('"', '""')}"` : value;
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(width - lengthOf(text));
}
