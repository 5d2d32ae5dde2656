/**
 * Numbers as Go prints them. The digits are the shortest that read back as the same number, in Go as
 * in JavaScript; where the exponent form begins and how it looks differs.
 */

/** As `%g` and `%v` of Go's fmt print: `0.5`, `123456`, `1e+06`, `+Inf`. */
export function formatG(value: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const digits = value.toExponential();
  const exponent = exponentOf(digits);
  return exponent < -4 || exponent >= 6 ? goExponent(digits) : String(value);
}

/** As numbers look in labels of OpenMetrics: never without a point or an exponent. */
export function formatOpenMetrics(value: number): string {
  const text = formatG(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** As `%.ng` of Go's fmt prints with `digits` = n ≥ 1: `1.2e-05`, `0.5`, `1e+02`. */
export function formatPrecise(value: number, digits: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const rounded = value.toExponential(digits - 1);
  const exponent = exponentOf(rounded);
  const shortest = Number(rounded);
  return exponent < -4 || exponent >= digits
    ? goExponent(shortest.toExponential())
    : String(shortest);
}

/** As sample values are written in JSON: plain from 1e-6 up to 1e21, exponent form outside. */
export function formatSampleValue(value: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const magnitude = Math.abs(value);
  return magnitude < 1e-6 || magnitude >= 1e21 ? goExponent(value.toExponential()) : String(value);
}

/** As `%f` of Go's fmt prints: six digits behind the point. */
export function formatF(value: number): string {
  return formatSpecial(value) === undefined || value === 0 ? fixed(value) : formatSpecial(value)!;
}

function fixed(value: number): string {
  const text = Math.abs(value) >= 1e21 ? `${BigInt(value)}.000000` : value.toFixed(6);
  return Object.is(value, -0) ? `-${text}` : text;
}

/** What has no digits to format, and the zero that JavaScript prints without its sign. */
function formatSpecial(value: number): string | undefined {
  if (value !== value) return 'NaN';
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  return undefined;
}

function exponentOf(digits: string): number {
  return Number(digits.slice(digits.indexOf('e') + 1));
}

/** `1.5e-7` as `1.5e-07`: Go writes at least two digits of exponent. */
function goExponent(digits: string): string {
  return digits.replace(/e([+-])(\d)$/, 'e$10$2');
}

/** As Go's strconv formats with `'f', -1`: the shortest digits, never an exponent. */
export function formatPlain(value: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const [digits, exponent] = value.toExponential().split('e');
  const [whole, fraction = ''] = digits!.replace('-', '').split('.');
  const point = Number(exponent) + 1;
  const all = whole! + fraction;
  const sign = value < 0 ? '-' : '';
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${all}`;
  if (point >= all.length) return sign + all.padEnd(point, '0');
  return `${sign}${all.slice(0, point)}.${all.slice(point)}`;
}
