import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';

/**
 * Which deletions blocks have nothing for, though they do not say so: what a look at their indexes
 * found. Kept on the disk between runs, and for blocks that are there; losing it costs another look.
 */
export class KnownAbsences {
  readonly #disk: Disk;
  readonly #path: string;
  #byBlock: Map<string, Set<string>> | undefined;
  #isSaved = true;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  /** The deletions that the block has nothing for, by their names. */
  async of(block: string): Promise<ReadonlySet<string>> {
    return (await this.#load()).get(block) ?? new Set();
  }

  async add(block: string, ids: Iterable<string>): Promise<void> {
    const known = (await this.#load()).getOrInsertComputed(block, () => new Set());
    for (const id of ids) {
      if (known.has(id)) continue;
      known.add(id);
      this.#isSaved = false;
    }
  }

  /** Writes what is known of `blocks`, and forgets the others. */
  async save(blocks: { has(id: string): boolean }): Promise<void> {
    const all = await this.#load();
    for (const id of all.keys()) {
      if (blocks.has(id)) continue;
      all.delete(id);
      this.#isSaved = false;
    }
    if (this.#isSaved) return;
    const plain = Object.fromEntries(Array.from(all, ([id, known]) => [id, [...known]]));
    await this.#disk.write(this.#path, new TextEncoder().encode(JSON.stringify(plain)));
    this.#isSaved = true;
  }

  async #load(): Promise<Map<string, Set<string>>> {
    this.#byBlock ??= await this.#read();
    return this.#byBlock;
  }

  /** A file that a crash tore counts as none. */
  async #read(): Promise<Map<string, Set<string>>> {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder().decode(await this.#disk.read(this.#path)));
    } catch (thrown) {
      if (isMissing(thrown) || thrown instanceof SyntaxError) return new Map();
      throw thrown;
    }
    const entries: readonly [string, unknown][] =
      typeof value === 'object' && value !== null ? Object.entries(value) : [];
    return new Map(
      entries.map(([id, known]) => {
        const texts: readonly unknown[] = Array.isArray(known) ? known : [];
        return [id, new Set(texts.filter((text) => typeof text === 'string'))];
      }),
    );
  }
}
