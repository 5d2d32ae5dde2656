import { BadInputError } from '#/lib/errors.ts';
import { parseDuration } from '#/model/time.ts';

const DURATION = String.raw`[+-]?\d+[a-wyz]*`;
const ITEM = new RegExp(`^(?:_|(${DURATION})(?:([+-])(${DURATION}))?)(?:x(\\d+))?$`, 'i');

/** Whether a line gives start timestamps: `metric{…}@st …`. */
export function isStartTimesLine(line: string): boolean {
  return /^\S*@st\s/.test(line);
}

/**
 * Parses offsets of start timestamps from their samples: `_ -30s _x2 -1mx3 -1m+5sx3`. As in
 * sequences of values, `axN` stands for 1 + N of them and `_xN` for N.
 * @throws BadInputError
 */
export function parseStartOffsets(text: string): (number | undefined)[] {
  const offsets: (number | undefined)[] = [];
  for (const item of text.match(/\S+/g) ?? []) {
    const match = ITEM.exec(item);
    if (match === null) {
      throw new BadInputError(`"${item}" is no offset of a start timestamp; want -30s or -1m+5sx3`);
    }
    const [, base, sign, step, times] = match;
    if (base === undefined) {
      for (let i = 0; i < Number(times ?? 1); i++) offsets.push(undefined);
      continue;
    }
    let offset = signedDuration(base);
    const delta = step === undefined ? 0 : signedDuration(step) * (sign === '-' ? -1 : 1);
    for (let i = 0; i <= Number(times ?? 0); i++, offset += delta) offsets.push(offset);
  }
  return offsets;
}

function signedDuration(text: string): number {
  const value = parseDuration(text.replace(/^[+-]/, ''));
  return text.startsWith('-') ? -value : value;
}
