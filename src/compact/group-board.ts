import type { Group } from './grouper.ts';
import type { FaultKind, GroupFault } from './group-fault.ts';

/** What a job is at. */
export type Phase =
  | 'waiting'
  | 'downloading'
  | 'checking'
  | 'merging'
  | 'downsampling'
  | 'uploading'
  | 'marking';

export interface JobProgress {
  readonly phase: Phase;
  readonly blocks: readonly string[];
  readonly startedMs: number;
  /** How much of the phase is done, from 0 to 1; `undefined` where it cannot be told. */
  readonly fraction: number | undefined;
}

/** A group that is left alone, and why. */
export interface Quarantine {
  readonly kind: FaultKind;
  readonly message: string;
  readonly blocks: readonly string[];
  readonly command: string;
  readonly sinceMs: number;
}

/** How a group stands, for pages, metrics and health. */
export interface GroupStatus {
  readonly key: string;
  readonly name: string;
  readonly resolutionMs: number;
  readonly blocks: number;
  /** Compactions that are left until the group is done, by the plan. */
  readonly backlog: number;
  /** Of the job that runs, if one does. */
  readonly progress: JobProgress | undefined;
  readonly quarantine: Quarantine | undefined;
  /** Why the last job failed, if it will be tried again. */
  readonly lastError: string | undefined;
}

interface Entry {
  group: Group;
  backlog: number;
  progress: JobProgress | undefined;
  quarantine: Quarantine | undefined;
  /** What the fault was seen at: the group is tried again when this changes. */
  fingerprint: string;
  lastError: string | undefined;
}

/** Keeps how every group stands, across passes. */
export class GroupBoard {
  readonly #entries = new Map<string, Entry>();

  /** Takes the groups of a pass; those that are gone are forgotten, with their quarantine. */
  show(groups: readonly Group[], backlog: (group: Group) => number): void {
    const present = new Set(groups.map(({ key }) => key));
    for (const key of this.#entries.keys()) if (!present.has(key)) this.#entries.delete(key);
    for (const group of groups) {
      const entry = this.#entryOf(group);
      entry.group = group;
      entry.backlog = backlog(group);
    }
  }

  /** Whether the group is in quarantine for a fault that was seen at the same blocks and marks. */
  isQuarantined(group: Group, fingerprint: string): boolean {
    const entry = this.#entries.get(group.key);
    if (entry?.quarantine === undefined) return false;
    if (entry.fingerprint === fingerprint) return true;
    entry.quarantine = undefined;
    return false;
  }

  quarantine(group: Group, fingerprint: string, fault: GroupFault, nowMs: number): void {
    const { kind, message, blocks, command } = fault;
    const entry = this.#entryOf(group);
    entry.quarantine = { kind, message, blocks, command, sinceMs: nowMs };
    entry.fingerprint = fingerprint;
    entry.lastError = undefined;
  }

  progress(group: Group, progress: JobProgress | undefined): void {
    this.#entryOf(group).progress = progress;
  }

  failed(group: Group, message: string | undefined): void {
    this.#entryOf(group).lastError = message;
  }

  /** Whether a job that runs has to do with the block. */
  isBusy(block: string): boolean {
    for (const { progress } of this.#entries.values()) {
      if (progress?.blocks.includes(block) === true) return true;
    }
    return false;
  }

  /** In the order of keys. */
  statuses(): GroupStatus[] {
    const sorted = [...this.#entries.values()].sort((a, b) => (a.group.key < b.group.key ? -1 : 1));
    return sorted.map(({ group, backlog, progress, quarantine, lastError }) => ({
      key: group.key,
      name: group.name,
      resolutionMs: group.resolutionMs,
      blocks: group.blocks.length,
      backlog,
      progress,
      quarantine,
      lastError,
    }));
  }

  #entryOf(group: Group): Entry {
    return this.#entries.getOrInsertComputed(group.key, () => ({
      group,
      backlog: 0,
      progress: undefined,
      quarantine: undefined,
      fingerprint: '',
      lastError: undefined,
    }));
  }
}
