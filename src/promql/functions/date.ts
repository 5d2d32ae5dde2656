/**
 * The calendar in UTC, from Unix seconds (cut to whole ones). Plain arithmetic instead of Date, whose
 * range ends at year 275760. Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
 */

interface CivilDate {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  /** 1 to 31. */
  readonly day: number;
}

const DAY_SECONDS = 86_400;
const DAYS_PER_ERA = 146_097;

export function year(seconds: number): number {
  return civilDate(seconds).year;
}

export function month(seconds: number): number {
  return civilDate(seconds).month;
}

export function dayOfMonth(seconds: number): number {
  return civilDate(seconds).day;
}

export function dayOfYear(seconds: number): number {
  const { year } = civilDate(seconds);
  return daysSinceEpoch(seconds) - daysBefore({ year, month: 1, day: 1 }) + 1;
}

/** 0 for Sunday. */
export function dayOfWeek(seconds: number): number {
  return modulo(daysSinceEpoch(seconds) + 4, 7);
}

export function daysInMonth(seconds: number): number {
  const { year, month } = civilDate(seconds);
  const next = month === 12 ? { year: year + 1, month: 1 } : { year, month: month + 1 };
  return daysBefore({ ...next, day: 1 }) - daysBefore({ year, month, day: 1 });
}

export function hour(seconds: number): number {
  return Math.floor(modulo(wholeSeconds(seconds), DAY_SECONDS) / 3600);
}

export function minute(seconds: number): number {
  return Math.floor(modulo(wholeSeconds(seconds), 3600) / 60);
}

/** Go's calendar begins here, in the year −292277022399; times before it wrap around. */
const CALENDAR_START = -9_223_372_028_741_760_000;

/** What Go on x86 makes of a float: NaN and what does not fit is the least int64, which wraps. */
function wholeSeconds(seconds: number): number {
  const whole = Math.abs(seconds) < 2 ** 63 ? Math.trunc(seconds) : -(2 ** 63);
  return whole < CALENDAR_START ? whole + 2 ** 64 : whole;
}

function daysSinceEpoch(seconds: number): number {
  return Math.floor(wholeSeconds(seconds) / DAY_SECONDS);
}

/** Eras of 400 years begin on 1 March of year 0, so that leap days come last. */
function civilDate(seconds: number): CivilDate {
  const days = daysSinceEpoch(seconds) + 719_468;
  const era = Math.floor(days / DAYS_PER_ERA);
  const dayOfEra = days - era * DAYS_PER_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  return {
    year: era * 400 + yearOfEra + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1,
  };
}

/** Days from the epoch to the beginning of a date. */
function daysBefore({ year, month, day }: CivilDate): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const monthFromMarch = month > 2 ? month - 3 : month + 9;
  const dayOfYear = Math.floor((153 * monthFromMarch + 2) / 5) + day - 1;
  const leapDays = Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100);
  return era * DAYS_PER_ERA + yearOfEra * 365 + leapDays + dayOfYear - 719_468;
}

/** The remainder that is never negative. */
function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
