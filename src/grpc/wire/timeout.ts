import { BadInputError } from '#/lib/errors.ts';

const UNITS_MS = new Map([
  ['n', 1e-6],
  ['u', 1e-3],
  ['m', 1],
  ['S', 1000],
  ['M', 60_000],
  ['H', 3_600_000],
]);

/** Milliseconds of a `grpc-timeout` header: up to eight digits and a unit. */
export function parseTimeout(text: string): number {
  const match = /^(\d{1,8})([numSMH])$/.exec(text);
  if (match === null) {
    throw new BadInputError(
      `grpc-timeout: found "${text}", expected up to 8 digits and a unit of n, u, m, S, M, H`,
    );
  }
  return Number(match[1]) * UNITS_MS.get(match[2]!)!;
}

/** Rounds up, in the finest of milliseconds, seconds, minutes and hours that eight digits hold. */
export function formatTimeout(ms: number): string {
  for (const unit of ['m', 'S', 'M'] as const) {
    const count = Math.max(1, Math.ceil(ms / UNITS_MS.get(unit)!));
    if (count < 1e8) return `${count}${unit}`;
  }
  return `${Math.min(99_999_999, Math.ceil(ms / 3_600_000))}H`;
}
