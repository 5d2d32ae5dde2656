import type { PointKernel } from './kernel.ts';

/** A function of one float. Histograms have no result. */
export function ofFloat(compute: (value: number) => number): PointKernel {
  return (column) => {
    const { values, present, histograms } = column;
    for (let step = 0; step < values.length; step++) {
      if (present[step] === 0) continue;
      if (histograms?.[step] === undefined) values[step] = compute(values[step]!);
      else column.remove(step);
    }
  };
}

export function sgn(value: number): number {
  if (value < 0) return -1;
  return value > 0 ? 1 : value;
}

export function rad(degrees: number): number {
  return (degrees * Math.PI) / 180;
}

export function deg(radians: number): number {
  return (radians * 180) / Math.PI;
}

/**
 * Beyond 21 the hyperbolic functions are half an exponential in Go, which overflows a little before
 * they do: from 709.79 on they are infinite there, from 710.48 on by their definition.
 * Source: Cosh and Sinh in math/sinh.go of Go.
 */
const HYPERBOLIC_IS_EXPONENTIAL = 21;

export function cosh(value: number): number {
  const size = Math.abs(value);
  return size > HYPERBOLIC_IS_EXPONENTIAL ? Math.exp(size) * 0.5 : Math.cosh(value);
}

export function sinh(value: number): number {
  const size = Math.abs(value);
  if (!(size > HYPERBOLIC_IS_EXPONENTIAL)) return Math.sinh(value);
  return Math.sign(value) * Math.exp(size) * 0.5;
}

/** `round(v, to_nearest = 1)`: ties go up. */
export const round: PointKernel = (column, [toNearest]) => {
  const { values, present, histograms } = column;
  for (let step = 0; step < values.length; step++) {
    if (present[step] === 0) continue;
    if (histograms?.[step] !== undefined) {
      column.remove(step);
      continue;
    }
    // Dividing by the inverse loses less than multiplying with the fraction.
    const inverse = 1 / (toNearest === undefined ? 1 : toNearest[step]!);
    values[step] = Math.floor(values[step]! * inverse + 0.5) / inverse;
  }
};

/** `clamp(v, min, max)`: nothing at steps where min exceeds max. */
export const clamp: PointKernel = (column, [min, max]) => {
  clampBetween(column, min, max);
};

export const clampMin: PointKernel = (column, [min]) => clampBetween(column, min, undefined);

export const clampMax: PointKernel = (column, [max]) => clampBetween(column, undefined, max);

function clampBetween(
  column: Parameters<PointKernel>[0],
  mins: Float64Array | undefined,
  maxs: Float64Array | undefined,
): void {
  const { values, present, histograms } = column;
  for (let step = 0; step < values.length; step++) {
    if (present[step] === 0) continue;
    const min = mins === undefined ? -Infinity : mins[step]!;
    const max = maxs === undefined ? Infinity : maxs[step]!;
    if (max < min || histograms?.[step] !== undefined) column.remove(step);
    else values[step] = maxOf(min, minOf(max, values[step]!));
  }
}

/** `max_of`, Go's math.Max: +Inf wins even over NaN. */
export function maxOf(a: number, b: number): number {
  return a === Infinity || b === Infinity ? Infinity : Math.max(a, b);
}

/** `min_of`, Go's math.Min: −Inf wins even over NaN. */
export function minOf(a: number, b: number): number {
  return a === -Infinity || b === -Infinity ? -Infinity : Math.min(a, b);
}
