/**
 * Compares as github.com/facette/natsort: runs of digits by number, everything between byte by byte.
 * Unlike there, equal texts are equal.
 */
export function compareNaturally(a: string, b: string): number {
  if (a === b) return 0;
  return comesBefore(a, b) ? -1 : 1;
}

function comesBefore(a: string, b: string): boolean {
  const left = chunks(a);
  const right = chunks(b);
  for (const [i, chunk] of left.entries()) {
    const other = right[i];
    if (other === undefined) return false;
    const order = compareChunks(chunk, other);
    if (order !== undefined) return order < 0;
  }
  return left.length < right.length || a < b;
}

/** `undefined` when the next chunks decide. */
function compareChunks(a: string, b: string): number | undefined {
  if (isNumber(a) && isNumber(b)) return Number(a) - Number(b) || undefined;
  if (a === b) return undefined;
  return a < b ? -1 : 1;
}

function chunks(text: string): string[] {
  return text.match(/\d+|\D+/g) ?? [];
}

function isNumber(chunk: string): boolean {
  return /^\d/.test(chunk);
}
