import type { Clock } from '#/lib/clock.ts';
import type { Group } from './grouper.ts';
import type { FaultKind, GroupFault } from './group-fault.ts';
import { blockBytes, noBacklog } from './progress.ts';
import type { Backlog } from './progress.ts';

/** What a job is at. */
export type Phase =
  | 'waiting'
  | 'downloading'
  | 'checking'
  | 'merging'
  | 'downsampling'
  | 'rewriting'
  | 'uploading'
  | 'marking';

export interface JobProgress {
  readonly phase: Phase;
  readonly blocks: readonly string[];
  /** When the job began. */
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

/** Why the last job of a group failed, which is tried again. */
export interface JobFailure {
  readonly message: string;
  /** Since when jobs have been failing. */
  readonly sinceMs: number;
}

/** How a group stands, for pages, metrics and health. */
export interface GroupStatus {
  readonly key: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly resolutionMs: number;
  readonly blocks: number;
  readonly sizeBytes: number;
  /** What is left until the group is done, by the plan. */
  readonly backlog: Backlog;
  /** Of the job that runs, if one does. */
  readonly progress: JobProgress | undefined;
  readonly quarantine: Quarantine | undefined;
  readonly failure: JobFailure | undefined;
}

interface Entry {
  group: Group;
  backlog: Backlog;
  progress: JobProgress | undefined;
  quarantine: Quarantine | undefined;
  /** What the fault was seen at: the group is tried again when this changes. */
  fingerprint: string;
  failure: JobFailure | undefined;
}

/** Keeps how every group stands, across passes. */
export class GroupBoard {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #entries = new Map<string, Entry>();
  #lastSignMs: number | undefined;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** When a job last showed that it gets on; `undefined` before the first. */
  get lastSignMs(): number | undefined {
    return this.#lastSignMs;
  }

  /** Takes the groups of a pass; those that are gone are forgotten, with their quarantine. */
  show(groups: readonly Group[], backlog: (group: Group) => Backlog): void {
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

  quarantine(group: Group, fingerprint: string, fault: GroupFault): void {
    const { kind, message, blocks, command } = fault;
    const entry = this.#entryOf(group);
    const sinceMs = entry.quarantine?.sinceMs ?? this.#clock.now();
    entry.quarantine = { kind, message, blocks, command, sinceMs };
    entry.fingerprint = fingerprint;
    entry.failure = undefined;
  }

  progress(group: Group, progress: JobProgress | undefined): void {
    this.#lastSignMs = this.#clock.now();
    this.#entryOf(group).progress = progress;
  }

  failed(group: Group, message: string): void {
    const entry = this.#entryOf(group);
    entry.failure = { message, sinceMs: entry.failure?.sinceMs ?? this.#clock.now() };
  }

  succeeded(group: Group): void {
    const entry = this.#entryOf(group);
    entry.failure = undefined;
    entry.quarantine = undefined;
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
    return sorted.map(({ group, backlog, progress, quarantine, failure }) => ({
      key: group.key,
      name: group.name,
      labels: group.labels,
      resolutionMs: group.resolutionMs,
      blocks: group.blocks.length,
      sizeBytes: group.blocks.reduce((bytes, block) => bytes + blockBytes(block), 0),
      backlog,
      progress,
      quarantine,
      failure,
    }));
  }

  #entryOf(group: Group): Entry {
    return this.#entries.getOrInsertComputed(group.key, () => ({
      group,
      backlog: noBacklog,
      progress: undefined,
      quarantine: undefined,
      fingerprint: '',
      failure: undefined,
    }));
  }
}
