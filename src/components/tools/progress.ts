import type { Log, LogFields } from '#/telemetry/logger.ts';

/** How far a tool has come with a known number of blocks. */
export interface Progress {
  /** One block is done. */
  step(block: string, fields?: LogFields): void;
  end(): void;
}

export type StartProgress = (what: string, total: number) => Progress;

const BAR = 30;
/** Back to the first column, and away with everything from there. */
const CLEAR_LINE = '\r\u001b[K';

/** A log line a block. */
export function plainProgress(log: Log): StartProgress {
  return (what, total) => {
    let done = 0;
    return {
      step: (block, fields) => log.info(what, { block, ...fields, done: ++done, of: total }),
      end: () => undefined,
    };
  };
}

/** A bar that is drawn over itself in the last line of a terminal; everything else goes above it. */
export class TerminalBar {
  readonly #write: (text: string) => void;
  #bar = '';

  /** `write` leads to the terminal. */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  readonly start: StartProgress = (what, total) => {
    let done = 0;
    const draw = (block: string) => {
      const filled = total === 0 ? BAR : Math.floor((BAR * done) / total);
      const bar = '#'.repeat(filled).padEnd(BAR, '.');
      this.#draw(`${what} [${bar}] ${done}/${total} ${block}`);
    };
    draw('');
    return {
      step(block) {
        done++;
        draw(block);
      },
      end: () => {
        draw('');
        this.#write('\n');
        this.#bar = '';
      },
    };
  };

  /** Does what writes whole lines to the terminal by another way. */
  above(write: () => void): void {
    if (this.#bar !== '') this.#write(CLEAR_LINE);
    write();
    if (this.#bar !== '') this.#write(this.#bar);
  }

  #draw(bar: string): void {
    this.#bar = bar;
    this.#write(`${CLEAR_LINE}${bar}`);
  }
}

/** Progress of work that tells how much there is only with the first block, and may begin anew. */
export function progressOf(
  start: StartProgress,
  what: string,
): { readonly step: (block: string, total: number) => void; readonly end: () => void } {
  let running: Progress | undefined;
  return {
    step(block, total) {
      running ??= start(what, total);
      running.step(block);
    },
    end() {
      running?.end();
      running = undefined;
    },
  };
}
