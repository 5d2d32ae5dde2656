import type { Disk } from '#/lib/disk.ts';
import { CorruptionError, messageOf } from '#/lib/errors.ts';
import { goJson } from '#/lib/go-json.ts';

const VERSION = 1;

/**
 * The ULIDs in a shipper's state file (`thanos.shipper.json`), which Prometheus reads too
 * (`--storage.tsdb.delay-compact-file.path`). An empty list may be written as `null`.
 * @throws CorruptionError if it is no such file; an error with `code: 'ENOENT'` if there is none.
 */
export async function readShipperState(disk: Disk, path: string): Promise<string[]> {
  const text = new TextDecoder().decode(await disk.read(path));
  let state: { readonly version?: unknown; readonly uploaded?: unknown } | null;
  try {
    state = JSON.parse(text) as typeof state;
  } catch (thrown) {
    throw new CorruptionError(`${path}: not valid JSON: ${messageOf(thrown)}`, { cause: thrown });
  }
  if (state?.version !== VERSION) {
    throw new CorruptionError(
      `${path}: version is ${String(state?.version)}; this program reads version ${VERSION}`,
    );
  }
  const uploaded = state.uploaded ?? [];
  if (!Array.isArray(uploaded) || uploaded.some((id) => typeof id !== 'string')) {
    throw new CorruptionError(`${path}: "uploaded" is no list of ULIDs`);
  }
  return uploaded as string[];
}

/** Replaces the file in one step; a failure leaves nothing behind where the disk allows it. */
export async function writeShipperState(
  disk: Disk,
  path: string,
  uploaded: readonly string[],
): Promise<void> {
  const list = uploaded.length === 0 ? null : uploaded;
  const text = `${goJson({ version: VERSION, uploaded: list }, '\t')}\n`;
  try {
    await disk.write(`${path}.tmp`, new TextEncoder().encode(text));
    await disk.rename(`${path}.tmp`, path);
  } catch (thrown) {
    await disk.remove(`${path}.tmp`).catch(() => undefined);
    throw thrown;
  }
}
