import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** How often a running process is looked at: its last moments are missed by half of this. */
const LOOK_MS = 20;
/** Of `/proc/PID/stat`; the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Effort {
  /** Of the processor, all threads, in user and system mode. */
  readonly seconds: number;
  readonly peakBytes: number;
}

/**
 * Runs a program to its end.
 * @throws Error with its output if it fails.
 */
export async function measuredProcess(command: string, args: readonly string[]): Promise<Effort> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => (output = (output + text.toString()).slice(-4096)));
  }
  const ended = once(child, 'close');
  const effort = { seconds: 0, peakBytes: 0 };
  while (child.exitCode === null && child.signalCode === null) {
    effort.seconds = Math.max(effort.seconds, await processorSeconds(child.pid!));
    effort.peakBytes = Math.max(effort.peakBytes, await peakBytes(child.pid!));
    await delay(LOOK_MS);
  }
  await ended;
  if (child.exitCode !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output}`);
  return effort;
}

/** 0 for a process that ended. */
async function processorSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name, in parentheses, may contain anything; times are fields 14 and 15.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

async function peakBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}
