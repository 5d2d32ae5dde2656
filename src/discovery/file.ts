import { basename, dirname, join } from 'node:path';
import * as v from 'valibot';
import { parseYaml } from '#/config/yaml.ts';
import type { Disk } from '#/lib/disk.ts';
import { messageOf } from '#/lib/errors.ts';
import type { Log } from '#/telemetry/logger.ts';

/** Prometheus's file SD format; labels are read and not used. */
const targetGroups = v.array(
  v.strictObject({
    targets: v.optional(v.array(v.string()), []),
    labels: v.optional(v.record(v.string(), v.string()), {}),
  }),
);

export interface FileDiscoveryOptions {
  readonly disk: Disk;
  readonly log: Log;
  /** Absolute paths; the last part may have `*`. */
  readonly patterns: readonly string[];
}

/**
 * Addresses from files of target groups, in JSON or YAML. A file that cannot be read keeps the
 * addresses that it gave before; one that is gone gives none.
 */
export class FileDiscovery {
  readonly #disk: Disk;
  readonly #log: Log;
  readonly #patterns: readonly string[];
  #found = new Map<string, readonly string[]>();

  constructor({ disk, log, patterns }: FileDiscoveryOptions) {
    this.#disk = disk;
    this.#log = log;
    this.#patterns = patterns;
  }

  /** Each once, in no particular order. */
  get addresses(): readonly string[] {
    return [...new Set([...this.#found.values()].flat())];
  }

  async update(): Promise<void> {
    const found = new Map<string, readonly string[]>();
    for (const path of await this.#paths()) {
      const before = this.#found.get(path) ?? [];
      found.set(path, await this.#read(path, before));
    }
    this.#found = found;
  }

  async #read(path: string, before: readonly string[]): Promise<readonly string[]> {
    try {
      const text = new TextDecoder().decode(await this.#disk.read(path));
      return parseYaml(path, text, targetGroups).flatMap(({ targets }) => targets);
    } catch (thrown) {
      this.#log.error('reading a file of targets failed', { path, error: messageOf(thrown) });
      return before;
    }
  }

  async #paths(): Promise<string[]> {
    const paths = await Promise.all(this.#patterns.map((pattern) => this.#expand(pattern)));
    return [...new Set(paths.flat())];
  }

  async #expand(pattern: string): Promise<string[]> {
    const directory = dirname(pattern);
    const name = basename(pattern);
    if (!name.includes('*')) {
      return (await this.#disk.stat(pattern)) === undefined ? [] : [pattern];
    }
    if ((await this.#disk.stat(directory)) === undefined) return [];
    const entries = await this.#disk.list(directory);
    return entries
      .filter((entry) => entry.kind === 'file' && matchesPattern(name, entry.name))
      .map((entry) => join(directory, entry.name));
  }
}

/** `*` stands for any run of characters. */
function matchesPattern(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const [i, piece] of rest.entries()) {
    const isLast = i === rest.length - 1;
    const found = isLast ? name.length - piece.length : name.indexOf(piece, at);
    if (found < at || !name.startsWith(piece, found)) return false;
    at = found + piece.length;
  }
  return true;
}
