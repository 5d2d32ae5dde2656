/** Everything that can go wrong in a run without anybody's fault, and what counts as one of each. */
export const FAULTS = {
  crash: 'a program ended in the middle of an operation',
  restart: 'a program was told to end, and started again',
  refused: 'a request to the bucket was answered 503',
  storm: 'a request was answered 429 or 503 at a time when every second one is',
  'reply-lost': 'a change of the bucket took effect, and its sender heard of an error',
  late: 'a request or its reply was on its way for a minute or more',
  orphan: 'a change of the bucket took effect when its sender was dead',
  'old-listing': 'a listing was not what the bucket held at that moment',
  'disk-error': 'a local operation failed and did nothing',
  'torn-write': 'a local write left a part of what was written',
  'full-disk': 'a local write failed for want of room',
  'skewed-clock': "a machine's clock was set off by a second or more",
  'deletion-by-hand': 'somebody deleted a block that others were working on',
} as const satisfies Record<string, string>;

export type FaultName = keyof typeof FAULTS;
export type FaultTotals = Record<FaultName, number>;

/** How often each fault really happened, which is less than how often the weather asked for it. */
export class FaultCounts {
  readonly totals = noFaults();

  happened(name: FaultName): void {
    this.totals[name]++;
  }
}

export function noFaults(): FaultTotals {
  return Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0])) as FaultTotals;
}

export function addFaults(into: FaultTotals, more: FaultTotals): void {
  for (const name of Object.keys(FAULTS) as FaultName[]) into[name] += more[name];
}

/** For people: the faults that happened, most frequent first. */
export function printFaults(totals: FaultTotals): string {
  const happened = Object.entries(totals).filter(([, count]) => count > 0);
  const sorted = happened.sort(([, a], [, b]) => b - a);
  return sorted.map(([name, count]) => `${name} ${count}`).join(', ') || 'none';
}
