import { SampleBuffer } from '#/storage/sample-buffer.ts';

/** Milliseconds by which the other side is skipped while no distance between samples is known. */
export const INITIAL_PENALTY_MS = 5000;

/**
 * What `mergePenalty` makes of floats whose values nobody adjusts, as merges of blocks do: the same
 * samples, by loops over columns. The replicas are merged into `into`, which is empty, one after the
 * other; as long as a replica brings nothing, what is there stays where it is, so chunks that follow
 * each other cost little more than reading their times.
 */
export function mergePenaltyColumns(replicas: readonly SampleBuffer[], into: SampleBuffer): void {
  for (const replica of replicas) mergeInto(into, replica);
}

/** What is taken out of a buffer while another is merged into it. */
const rest = new SampleBuffer();

/** A step takes the earlier of the samples at hand; the side it is not of is skipped by a penalty. */
function mergeInto(into: SampleBuffer, other: SampleBuffer): void {
  const { times, length } = into;
  let a = 0;
  let b = 0;
  let last = Number.NEGATIVE_INFINITY;
  let penalty = 0;
  // Side A alone is taken as it is. Its times are those of `into`.
  for (; a < length && b < other.length; a++) {
    const time = times[a]!;
    if (time > other.times[b]!) break;
    penalty = a === 0 ? INITIAL_PENALTY_MS : 2 * (time - last);
    last = time;
    b = seek(other, b, last + 1 + penalty);
  }
  if (b >= other.length) return;
  rest.clear();
  rest.pushRange(into, a, length);
  into.length = a;
  a = 0;
  let penaltyA = 0;
  let penaltyB = 0;
  for (;;) {
    if (a >= rest.length) return into.pushRange(other, b, other.length);
    if (b >= other.length) return into.pushRange(rest, a, rest.length);
    const onA = rest.times[a]! <= other.times[b]!;
    const time = onA ? rest.times[a]! : other.times[b]!;
    penalty = last === Number.NEGATIVE_INFINITY ? INITIAL_PENALTY_MS : 2 * (time - last);
    penaltyA = onA ? 0 : penalty;
    penaltyB = onA ? penalty : 0;
    last = time;
    push(into, onA ? rest : other, onA ? a : b);
    a = seek(rest, a, last + 1 + penaltyA);
    b = seek(other, b, last + 1 + penaltyB);
  }
}

/** The first sample from `index` on that is at `time` or later. */
function seek({ times, length }: SampleBuffer, index: number, time: number): number {
  let at = index;
  while (at < length && times[at]! < time) at++;
  return at;
}

function push(into: SampleBuffer, from: SampleBuffer, index: number): void {
  into.reserve(1);
  const to = into.length++;
  into.times[to] = from.times[index]!;
  into.halves[2 * to] = from.halves[2 * index]!;
  into.halves[2 * to + 1] = from.halves[2 * index + 1]!;
}
