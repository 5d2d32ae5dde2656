import { LimitError } from './errors.ts';

/** How the memory of a process is looked at and relieved; the effects behind `ProcessMemory`. */
export interface MemoryProbe {
  /** Bytes of physical memory that the process has. */
  residentBytes(): number;
  /** Collects garbage. Stops the world for a moment. */
  collectGarbage(): void;
  /** Sees to it that free memory goes back to the system, soon and not too often. */
  giveBack(): void;
}

/** A probe that sees nothing: only counted bytes limit then. */
export const blindProbe: MemoryProbe = {
  residentBytes: () => 0,
  collectGarbage: () => undefined,
  giveBack: () => undefined,
};

/** Who reserves in a `ProcessMemory`. */
export interface MemoryHolder {
  /** Opens the error message: `query`, `Series call` … */
  readonly what: string;
  readonly limitBytes: number;
  readonly usedBytes: number;
  /** The flag behind the limit; `''` for none. */
  readonly flag: string;
}

/** Between two looks at the process; large enough that looking costs nothing. */
const BYTES_BETWEEN_LOOKS = 4 * 1024 * 1024;
/** Above this part of a limit garbage is collected. */
const COLLECT_PART = 0.9;
/** So much the process may have: freed memory does not go back at once. */
const RESIDENT_PART = 1.125;
/** After a collection that did not help, the next one has to wait for so many looks. */
const LOOKS_AFTER_VAIN_COLLECTION = 4;
/** Released bytes that are reason enough to collect again all the same. */
const BYTES_WORTH_COLLECTING = 32 * 1024 * 1024;
/** A holder of less than this part of the limit is small. */
const SMALL_PART = 1 / 32;
/** What those that are not small leave to those that are. */
const PART_FOR_SMALL = 1 / 8;

/**
 * The memory of all queries, or of all calls, of a process. Counted bytes are an estimate, and garbage
 * is not in them, so the process itself is looked at, too: above the limit garbage is collected, and if
 * that does not help, whoever asks for more is refused. Small holders are never refused for what large
 * ones took: an eighth of the limit is theirs alone.
 */
export class ProcessMemory {
  readonly limitBytes: number;
  /** The flag behind the limit; `''` for none. */
  readonly flag: string;
  readonly #what: string;
  readonly #probe: MemoryProbe;
  #used = 0;
  #unseen = 0;
  #looksToWait = 0;
  #released = 0;

  constructor(options: {
    /** Opens the error message: `all queries together`. */
    readonly what: string;
    readonly limitBytes: number;
    readonly flag?: string;
    readonly probe?: MemoryProbe;
  }) {
    this.#what = options.what;
    this.limitBytes = options.limitBytes;
    this.flag = options.flag ?? '';
    this.#probe = options.probe ?? blindProbe;
  }

  get usedBytes(): number {
    return this.#used;
  }

  /** @throws LimitError with what was measured, if there is no room for these bytes. */
  reserve(bytes: number, holder: MemoryHolder): void {
    const held = holder.usedBytes + bytes;
    const isSmall = held <= Math.min(this.limitBytes, holder.limitBytes) * SMALL_PART;
    const limit = isSmall ? this.limitBytes : this.limitBytes * (1 - PART_FOR_SMALL);
    const used = this.#used + bytes;
    if (used > limit) {
      throw new LimitError(
        `${this.#what} need ${used} bytes of memory, ${held} of them this ${holder.what}, ` +
          `over the limit of ${Math.floor(limit)}${inFlag(this.flag)}; ${ADVICE}`,
      );
    }
    this.#unseen += bytes;
    if (this.#unseen >= BYTES_BETWEEN_LOOKS) this.#look(held / used, isSmall, holder);
    this.#used = used;
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#released += bytes;
    if (this.#released < BYTES_WORTH_COLLECTING) return;
    this.#released = 0;
    this.#looksToWait = 0;
    if (this.#used < this.limitBytes * SMALL_PART) this.#probe.giveBack();
  }

  /** `share` is the holder's part of all counted bytes, and so about its part of the process. */
  #look(share: number, isSmall: boolean, holder: MemoryHolder): void {
    this.#unseen = 0;
    const limit = Math.min(this.limitBytes, holder.limitBytes / share);
    let resident = this.#probe.residentBytes();
    if (resident <= limit * COLLECT_PART) return;
    this.#looksToWait--;
    if (this.#looksToWait <= 0) {
      this.#probe.collectGarbage();
      resident = this.#probe.residentBytes();
      // Where garbage is not what fills the process, looking for more at once would only cost time.
      this.#looksToWait = resident <= limit * COLLECT_PART ? 0 : LOOKS_AFTER_VAIN_COLLECTION;
    }
    if (!isSmall && resident > limit * RESIDENT_PART) this.#refuse(resident, share, holder);
  }

  #refuse(resident: number, share: number, { what, limitBytes, flag }: MemoryHolder): never {
    const ofHolder = Math.floor(resident * share);
    const own = ofHolder > limitBytes;
    throw new LimitError(
      `the process has ${resident} bytes of memory, about ${ofHolder} of them for this ${what}, over ` +
        `the limit of ${own ? limitBytes : this.limitBytes}${inFlag(own ? flag : this.flag)} and an eighth; ${ADVICE}`,
    );
  }
}

/** What the user can do about it. */
export const ADVICE = 'select fewer series, a shorter range or a larger step';

export function inFlag(flag: string): string {
  return flag === '' ? '' : ` (${flag})`;
}
