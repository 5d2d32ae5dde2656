import { join } from 'node:path';
import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import { isUlid } from '#/lib/ulid.ts';

const RECORD_FILENAME = 'job.json';
/** For how long a job is gone on with; well below the age at which cleaners remove partial uploads. */
const RESUMED_FOR_MS = 24 * 3_600_000;

/**
 * Prepares the directory of a job that makes one block of others, and returns the new block's ULID.
 * It is the same again after a crash, as long as the inputs are and for a day: what an interrupted upload
 * left in the bucket is then completed, not left behind. Downloaded inputs stay, everything else is removed.
 */
export async function openJobDirectory(
  disk: Disk,
  directory: string,
  inputs: readonly string[],
  { nowMs, newId }: { readonly nowMs: number; readonly newId: () => string },
): Promise<string> {
  await disk.makeDirectory(directory);
  const known = await readRecord(disk, join(directory, RECORD_FILENAME));
  const isSame =
    known !== undefined &&
    known.inputs.join() === inputs.join() &&
    nowMs - known.startedMs < RESUMED_FOR_MS;
  const ulid = isSame ? known.ulid : newId();
  const kept = new Set([...inputs, RECORD_FILENAME]);
  for (const { name } of await disk.list(directory)) {
    if (!kept.has(name)) await disk.remove(join(directory, name));
  }
  if (!isSame) {
    const record = JSON.stringify({ ulid, inputs, startedMs: nowMs });
    await disk.write(join(directory, RECORD_FILENAME), new TextEncoder().encode(record));
  }
  return ulid;
}

/** Removes what is in `root` but not among `wanted`: directories of jobs that nobody will go on with. */
export async function removeStrangers(
  disk: Disk,
  root: string,
  wanted: ReadonlySet<string>,
): Promise<void> {
  await disk.makeDirectory(root);
  for (const { name } of await disk.list(root)) {
    if (!wanted.has(name)) await disk.remove(join(root, name));
  }
}

interface JobRecord {
  readonly ulid: string;
  readonly inputs: readonly string[];
  readonly startedMs: number;
}

/** A record that was torn by a crash counts as none. */
async function readRecord(disk: Disk, path: string): Promise<JobRecord | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(await disk.read(path)));
  } catch (thrown) {
    if (isMissing(thrown) || thrown instanceof SyntaxError) return undefined;
    throw thrown;
  }
  return isRecord(value) ? value : undefined;
}

function isRecord(value: unknown): value is JobRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { ulid, inputs, startedMs } = value as Readonly<Record<string, unknown>>;
  return (
    typeof ulid === 'string' &&
    isUlid(ulid) &&
    Array.isArray(inputs) &&
    typeof startedMs === 'number'
  );
}
