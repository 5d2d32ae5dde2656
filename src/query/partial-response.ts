import type { Labels } from '#/model/labels.ts';
import type { MissingPart } from '#/storeapi/proxy-store.ts';

/** What one endpoint failed to contribute to an answer. */
export interface MissingEndpoint {
  readonly address: string;
  readonly labelSets: readonly Labels[];
  /** The closed range in milliseconds over which its samples are missing. */
  readonly mint: number;
  readonly maxt: number;
  /** Each once. */
  readonly reasons: readonly string[];
}

/** A peer that sends nothing but garbage must not answer with a warning for each chunk. */
const MAX_DAMAGE = 10;

/**
 * What is missing from one query's answer, however many selects it took. An answer with parts
 * missing must say so, and nobody may cache it.
 */
export class Completeness {
  readonly #missing = new Map<string, MissingEndpoint>();
  readonly #damage = new Set<string>();

  get isComplete(): boolean {
    return this.#missing.size + this.#damage.size === 0;
  }

  /** What an endpoint sent and nobody can read, as warnings: the first few. */
  get damage(): readonly string[] {
    return [...this.#damage];
  }

  addDamage(text: string): void {
    if (this.#damage.size < MAX_DAMAGE) this.#damage.add(text);
  }

  /** One entry an endpoint, in the order of their addresses. */
  get missing(): readonly MissingEndpoint[] {
    return [...this.#missing.values()].sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  add(part: MissingPart): void {
    const { address, labelSets, reason } = part;
    const before = this.#missing.get(address);
    this.#missing.set(address, {
      address,
      labelSets,
      mint: Math.min(part.mint, before?.mint ?? part.mint),
      maxt: Math.max(part.maxt, before?.maxt ?? part.maxt),
      reasons: [...new Set([...(before?.reasons ?? []), reason])],
    });
  }
}
