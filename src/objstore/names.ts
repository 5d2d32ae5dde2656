import { BadInputError } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { ListEntry } from './bucket.ts';

/** @throws BadInputError unless `prefix` is `''` or ends in `/`. */
export function checkPrefix(prefix: string): void {
  if (prefix !== '' && (!prefix.endsWith('/') || prefix.startsWith('/'))) {
    throw new BadInputError(`listing "${prefix}": a prefix is empty or ends, not begins, in "/"`);
  }
}

export function compareEntries(a: ListEntry, b: ListEntry): number {
  return compareUtf8(a.name, b.name);
}

/**
 * One level below `prefix` out of all objects there in byte order: objects as they are, and each
 * directory once as its common prefix. An object named as the prefix itself is left out.
 */
export function* oneLevel(prefix: string, entries: Iterable<ListEntry>): Generator<ListEntry> {
  let last = '';
  for (const entry of entries) {
    if (entry.name === prefix) continue;
    const slash = entry.name.indexOf('/', prefix.length);
    if (slash === -1) {
      yield entry;
      continue;
    }
    const directory = entry.name.slice(0, slash + 1);
    if (directory !== last) yield { name: directory };
    last = directory;
  }
}
