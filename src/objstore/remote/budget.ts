export interface BudgetOptions {
  /** What may be spent for each unit earned. */
  readonly share: number;
  /** What may be spent before anything is earned, and the most that is kept for later. */
  readonly reserve: number;
}

/** Keeps extra work, such as retries, to a share of the work that is asked for. */
export class Budget {
  readonly #options: BudgetOptions;
  #left: number;

  constructor(options: BudgetOptions) {
    this.#options = options;
    this.#left = options.reserve;
  }

  earn(): void {
    const { share, reserve } = this.#options;
    this.#left = Math.min(reserve, this.#left + share);
  }

  /** Whether there was one left to spend. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
