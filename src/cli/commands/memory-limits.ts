import { freemem, totalmem } from 'node:os';

/** What the system says about memory. */
export interface SystemMemory {
  /** The limit of the container (cgroup); 0, absent or more than the machine has if there is none. */
  readonly constrainedBytes: number | undefined;
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export function systemMemory(): SystemMemory {
  return {
    constrainedBytes: process.constrainedMemory(),
    totalBytes: totalmem(),
    freeBytes: freemem(),
  };
}

/** Bytes that the container allows, or else the machine has left. */
export function memoryThereIs({ constrainedBytes = 0, ...machine }: SystemMemory): number {
  const isLimit = constrainedBytes > 0 && constrainedBytes <= machine.totalBytes;
  return isLimit ? constrainedBytes : machine.freeBytes;
}

/** Half of the memory there is, unless `bytes` are set; the rest is for what is not counted. */
export function processLimit(bytes: number, memory: SystemMemory): number {
  return bytes || Math.floor(memoryThereIs(memory) / 2);
}

interface QueryValues {
  readonly 'query.memory-limit': number;
  readonly 'query.total-memory-limit': number;
}

/** In bytes; one query may hold half of what all of them may, unless its limit is set. */
export function queryLimits(values: QueryValues, memory: SystemMemory) {
  const totalMemoryBytes = processLimit(values['query.total-memory-limit'], memory);
  const memoryBytes = values['query.memory-limit'] || Math.floor(totalMemoryBytes / 2);
  return { memoryBytes, totalMemoryBytes };
}
