import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { messageOf } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { checkComplete } from './fetcher.ts';
import type { BlockView } from './fetcher.ts';
import type { MarkKind } from './markers.ts';

export interface SeenBlock {
  readonly meta: BlockMeta;
  /** As far as they are known. */
  readonly marks: readonly MarkKind[];
}

/** Blocks for people to look at. */
export interface BlocksSeen {
  readonly blocks: readonly SeenBlock[];
  /** When the last look ended; `undefined` before the first. */
  readonly refreshedAtMs: number | undefined;
  /** Why the last look failed; the blocks are then those of the one before. */
  readonly error: string | undefined;
}

/** All blocks of a view, by ULID. @throws UnavailableError if some of them could not be looked at. */
export function seenBlocks(view: BlockView): SeenBlock[] {
  checkComplete(view);
  const blocks = Array.from(view.metas.values(), (meta) => ({ meta, marks: [] }));
  return blocks.sort((a, b) => compareUtf8(a.meta.ulid, b.meta.ulid));
}

/** Keeps what the last look at a bucket found. */
export class SeenBlocks {
  readonly #clock: Pick<Clock, 'now'>;
  #current: BlocksSeen = { blocks: [], refreshedAtMs: undefined, error: undefined };

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  get current(): BlocksSeen {
    return this.#current;
  }

  set(blocks: readonly SeenBlock[]): void {
    this.#current = { blocks, refreshedAtMs: this.#clock.now(), error: undefined };
  }

  failed(thrown: unknown): void {
    const { blocks } = this.#current;
    this.#current = { blocks, refreshedAtMs: this.#clock.now(), error: messageOf(thrown) };
  }
}

export interface BlocksOnDemandOptions {
  readonly look: (signal: AbortSignal) => Promise<readonly SeenBlock[]>;
  readonly clock: Clock;
  /** How old what is shown may be. */
  readonly maxAgeMs: number;
  /** How long a look may take. */
  readonly timeoutMs: number;
}

/**
 * Looks at a bucket when somebody asks and the last look is too old: one for all who ask meanwhile.
 * Looks cost requests for every block, so nobody's are made for nobody.
 */
export class BlocksOnDemand {
  readonly #options: BlocksOnDemandOptions;
  readonly #seen: SeenBlocks;
  #looking: Promise<void> | undefined;

  constructor(options: BlocksOnDemandOptions) {
    this.#options = options;
    this.#seen = new SeenBlocks(options.clock);
  }

  async seen(): Promise<BlocksSeen> {
    const { clock, maxAgeMs } = this.#options;
    const { refreshedAtMs } = this.#seen.current;
    if (refreshedAtMs === undefined || clock.now() - refreshedAtMs > maxAgeMs) {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
      await this.#looking;
    }
    return this.#seen.current;
  }

  async #look(): Promise<void> {
    const { look, clock, timeoutMs } = this.#options;
    using limit = deadline(clock, timeoutMs);
    try {
      this.#seen.set(await look(limit.signal));
    } catch (thrown) {
      this.#seen.failed(thrown);
    }
  }
}
