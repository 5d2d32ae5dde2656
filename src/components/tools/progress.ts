import type { Log, LogFields } from '#/telemetry/logger.ts';

/** How far a tool has come with a known number of blocks. */
export interface Progress {
  /** One block is done. */
  step(block: string, fields?: LogFields): void;
  end(): void;
}

export type StartProgress = (what: string, total: number) => Progress;

const BAR = 30;

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

/** A bar that is drawn over itself; `write` leads to a terminal. */
export function barProgress(write: (text: string) => void): StartProgress {
  return (what, total) => {
    let done = 0;
    const draw = (block: string) => {
      const filled = total === 0 ? BAR : Math.floor((BAR * done) / total);
      const bar = '#'.repeat(filled).padEnd(BAR, '.');
      write(`\r\u001b[K${what} [${bar}] ${done}/${total} ${block}`);
    };
    return {
      step(block) {
        done++;
        draw(block);
      },
      end() {
        draw('');
        write('\n');
      },
    };
  };
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
