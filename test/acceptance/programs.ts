import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { findProgram, freePort } from '../support/servers.ts';

export const hindsight = resolve(import.meta.dirname, '../../bin/hindsight');
/** Of the machine unless `HINDSIGHT_PROMTOOL` says which. */
export const promtool = process.env['HINDSIGHT_PROMTOOL'] ?? findProgram('promtool');
export const thanos = process.env['HINDSIGHT_THANOS'];

const MOST_OUTPUT_BYTES = 64 * 1024 * 1024;

/** What a program writes until it ends. @throws Error with its output unless it ends with code 0. */
export async function run(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, [...args], {
      maxBuffer: MOST_OUTPUT_BYTES,
    });
    return stdout + stderr;
  } catch (thrown) {
    const { stdout = '', stderr = '' } = thrown as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')}:\n${stdout}${stderr}`.slice(-4000), {
      cause: thrown,
    });
  }
}

export function filesystemConfig(directory: string): string {
  return JSON.stringify({ type: 'FILESYSTEM', config: { directory } });
}

export interface Compaction {
  readonly bucket: string;
  /** Where the compactor works. */
  readonly workplace: string;
  readonly flags?: readonly string[];
}

/** Runs our compactor, or Thanos's, until nothing is left to do; what it has replaced is gone then. */
export async function compact(program: string, options: Compaction): Promise<void> {
  const { bucket, workplace, flags = [] } = options;
  await run(program, [
    'compact',
    `--objstore.config=${filesystemConfig(bucket)}`,
    `--data-dir=${workplace}`,
    '--consistency-delay=0s',
    '--delete-delay=0s',
    '--log.level=warn',
    `--http-address=127.0.0.1:${await freePort()}`,
    ...flags,
  ]);
}
