const SLAB_BYTES = 65_536;
const MAX_FREE_SLABS = 128;

/** Memory that goes back to its pool when its last holder releases it. */
export class Slab {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  readonly #free: Slab[];
  #holders = 0;

  constructor(free: Slab[]) {
    this.#free = free;
  }

  retain(): void {
    this.#holders++;
  }

  release(): void {
    this.#holders--;
    if (this.#holders === 0 && this.#free.length < MAX_FREE_SLABS) this.#free.push(this);
  }
}

/** Write buffers of 64 KiB; at most 8 MiB of them are kept for reuse. */
export class SlabPool {
  readonly #free: Slab[] = [];

  /** A slab with its caller as the only holder. */
  take(): Slab {
    const slab = this.#free.pop() ?? new Slab(this.#free);
    slab.retain();
    return slab;
  }
}
