/**
 * JSON text as Go's encoding/json writes it, for files whose bytes should equal Go's: `<`, `>`, `&`
 * and the two Unicode line separators are escaped; with `indent`, each level takes one `indent`.
 * Key order is the caller's; `undefined` values are left out.
 */
export function goJson(value: unknown, indent = ''): string {
  return JSON.stringify(value, undefined, indent).replace(/[<>&\u2028\u2029]/g, escapeUnit);
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
