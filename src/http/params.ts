import { BadInputError } from '#/lib/errors.ts';
import { parseRfc3339 } from '#/model/time-or-duration.ts';
import { parseDuration } from '#/model/time.ts';

/**
 * The parameters of a request: of its form body first, then of its URL. Rules and error texts are
 * those of Thanos's query API (pkg/api/query/v1.go).
 */
export class Params {
  readonly #sources: readonly URLSearchParams[];

  constructor(query: URLSearchParams, form?: URLSearchParams) {
    this.#sources = form === undefined ? [query] : [form, query];
  }

  /** The first value of `name`, or `''`. */
  text(name: string): string {
    for (const source of this.#sources) {
      const value = source.get(name);
      if (value !== null) return value;
    }
    return '';
  }

  /** Every value of `name`, body and URL together. */
  texts(name: string): string[] {
    return this.#sources.flatMap((source) => source.getAll(name));
  }

  /** Milliseconds; `fallback` when the parameter is absent. */
  timeMs(name: string, fallback: number): number {
    const text = this.text(name);
    if (text === '') return fallback;
    try {
      return parseTime(text);
    } catch (cause) {
      throw new BadInputError(`Invalid time value for '${name}': ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  /** Milliseconds of a parameter that must be there. */
  requiredTimeMs(name: string): number {
    return parseTime(this.text(name));
  }

  /** Milliseconds; `undefined` when the parameter is absent. */
  durationMs(name: string, prefix = ''): number | undefined {
    const text = this.text(name);
    if (text === '') return undefined;
    try {
      return parseSecondsOrDuration(text);
    } catch (cause) {
      throw new BadInputError(prefix + (cause as Error).message, { cause });
    }
  }

  boolean(name: string, fallback: boolean): boolean {
    const text = this.text(name);
    if (text === '') return fallback;
    if (['1', 't', 'T', 'true', 'True', 'TRUE'].includes(text)) return true;
    if (['0', 'f', 'F', 'false', 'False', 'FALSE'].includes(text)) return false;
    throw new BadInputError(
      `'${name}' parameter: strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  }

  /** 0 when absent, which means no limit. */
  limit(name = 'limit'): number {
    const text = this.text(name);
    if (text === '') return 0;
    if (!/^[+-]?\d+$/.test(text)) {
      throw new BadInputError(`cannot parse ${JSON.stringify(text)} to a valid limit`);
    }
    const limit = Number(text);
    if (limit < 0) throw new BadInputError('limit must be non-negative');
    return limit;
  }
}

/** Seconds with a fraction, or RFC 3339; to milliseconds. */
export function parseTime(text: string): number {
  const seconds = parseFloatStrictly(text);
  if (seconds !== undefined) return Math.round(seconds * 1000);
  const time = parseRfc3339(text);
  if (time !== undefined) return time;
  throw new BadInputError(`cannot parse ${JSON.stringify(text)} to a valid timestamp`);
}

/** Seconds with a fraction, or a Prometheus duration; to milliseconds. */
export function parseSecondsOrDuration(text: string): number {
  const seconds = parseFloatStrictly(text);
  if (seconds !== undefined) {
    if (Math.abs(seconds) * 1e9 > 2 ** 63) {
      throw new BadInputError(
        `cannot parse ${JSON.stringify(text)} to a valid duration. It overflows int64`,
      );
    }
    return Math.round(seconds * 1000);
  }
  try {
    return parseDuration(text);
  } catch (cause) {
    throw new BadInputError(`cannot parse ${JSON.stringify(text)} to a valid duration`, { cause });
  }
}

function parseFloatStrictly(text: string): number | undefined {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) return undefined;
  return Number(text);
}
