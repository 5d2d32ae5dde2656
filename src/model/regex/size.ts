/** Characters of a pattern, counted repetitions written out. About as many instructions come of it. */
const MAX_SIZE = 200_000;
/** Optional parts of one alternative, which a matcher may have to follow all at once. */
const MAX_OPTIONAL = 1000;

/** What a part of a pattern costs, its counted repetitions written out. */
interface Cost {
  size: number;
  /** `?`, `*`, `+` and the open ends of `{n,m}`. */
  optional: number;
}

/**
 * Why a pattern is too large to be matched in bounded time; `undefined` if it is not. Matching takes
 * time in proportion to the text and to the parts that can be under way at once, and both come from
 * outside. Counts roughly: a pattern that is none is the compiler's to refuse.
 */
export function tooLarge(pattern: string): string | undefined {
  if (pattern.length > MAX_SIZE) return `${pattern.length} characters, at most ${MAX_SIZE}`;
  const { size, optional } = costOf(pattern);
  if (size > MAX_SIZE) return `${size} characters with repetitions, at most ${MAX_SIZE}`;
  if (optional > MAX_OPTIONAL) return `${optional} optional parts, at most ${MAX_OPTIONAL}`;
  return undefined;
}

const ATOM = /\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\{(\d+)(,?)(\d*)\}|[^]/gsu;

/** The dearest of the outermost alternatives counts: matching soon decides for one of them. */
function costOf(pattern: string): Cost {
  const outer: Cost[] = [];
  let sum: Cost = { size: 0, optional: 0 };
  let dearest = 0;
  let last: Cost = { size: 0, optional: 0 };
  const add = (item: Cost) => {
    sum.size += item.size;
    sum.optional += item.optional;
    last = item;
  };
  for (const [text, least, comma, most] of pattern.matchAll(ATOM)) {
    if (least !== undefined) {
      const times = Math.max(1, Number(least), Number(most ?? 0));
      const open = comma === '' ? 0 : most === '' ? 1 : Math.max(0, Number(most) - Number(least));
      const optional = last.optional * times + open;
      sum.size += last.size * (times - 1);
      sum.optional += optional - last.optional;
      last = { size: last.size * times, optional };
    } else if (text === '(') {
      outer.push(sum);
      sum = { size: 0, optional: 0 };
    } else if (text === ')' && outer.length > 0) {
      const group = sum;
      sum = outer.pop()!;
      add(group);
    } else if (text === '?' || text === '*' || text === '+') {
      sum.optional++;
      last = { ...last, optional: last.optional + 1 };
    } else if (text === '|' && outer.length === 0) {
      dearest = Math.max(dearest, sum.optional);
      sum.optional = 0;
    } else {
      add({ size: 1, optional: 0 });
    }
  }
  return { size: sum.size, optional: Math.max(dearest, sum.optional) };
}
