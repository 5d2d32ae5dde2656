import { groupBlocks } from '#/compact/grouper.ts';
import { planCompaction } from '#/compact/planner.ts';
import { isUlid } from '#/lib/ulid.ts';
import type { MemoryBucket } from '#/objstore/memory.ts';
import { RANGES } from './compactor.ts';
import type { LeaseWatch } from './compactor.ts';
import type { Ledger } from './ledger.ts';
import type { Machine } from './machine.ts';
import { REPLICAS } from './truth.ts';

/** What is not as it should be a while after the last fault. */
export async function convergenceProblems({
  bucket,
  ledger,
  compactors,
  leaseWatch,
}: {
  readonly bucket: MemoryBucket;
  readonly ledger: Ledger;
  readonly compactors: readonly Machine[];
  readonly leaseWatch: LeaseWatch;
}): Promise<string[]> {
  const problems: string[] = [];
  const names = bucket.names;
  const unmarked = [...ledger.complete.values()].filter(
    ({ ulid }) => !names.includes(`${ulid}/deletion-mark.json`),
  );
  // A block deleted by hand may come back when others have closed the gap: an overlap, for a person.
  const meddledWith = new Set(ledger.forgiven().map(({ replica }) => replica));
  const isMeddledWith = (group: string) => {
    const replica = REPLICAS.find((name) => group.includes(`replica="${name}"`));
    return replica === undefined ? meddledWith.size > 0 : meddledWith.has(replica);
  };
  for (const group of groupBlocks(unmarked)) {
    if (isMeddledWith(group.name)) continue;
    const plan = planCompaction({
      blocks: group.blocks,
      noCompact: new Set(),
      ranges: RANGES,
      coarser: group.coarser,
    });
    if (plan.length === 0) continue;
    problems.push(`${group.name}: ${plan.map(({ ulid }) => ulid).join()} are not compacted`);
  }
  for (const job of leaseWatch.held()) problems.push(`the lease of ${job} is held`);
  const ids = new Set(names.map((name) => name.slice(0, 26)).filter(isUlid));
  for (const id of ids) {
    // Marked by one queue while another deleted it: the mark goes when it is old enough.
    const isMark = names.includes(`${id}/deletion-mark.json`) && !ledger.isOverdue(id);
    if (!ledger.complete.has(id) && !isMark) problems.push(`${id} has no meta.json`);
  }
  for (const id of ledger.complete.keys()) {
    if (ledger.isOverdue(id)) problems.push(`${id} is not deleted`);
  }
  for (const { ulid, isUploaded } of ledger.sources.values()) {
    if (!isUploaded) problems.push(`${ulid} was never uploaded`);
  }
  for (const id of await ledger.doomed()) {
    problems.push(`${id} has samples that retention by rule or a deletion should have taken`);
  }
  for (const { name, life } of compactors) {
    const text = (await life?.metrics.text()) ?? '';
    if (!/^thanos_compact_halted 1$/m.test(text)) continue;
    const groups = life!.lines
      .filter(({ message }) => message === 'group is in quarantine')
      .map(({ fields }) => String(fields['group']));
    if (groups.length > 0 && groups.every(isMeddledWith)) continue;
    problems.push(`${name} has halted groups: ${groups.join(', ')}`);
  }
  return problems;
}
