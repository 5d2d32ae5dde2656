import type { Metrics } from '#/telemetry/metrics.ts';

/** Where a block ended up in a synchronization; a loaded one may count as marked, too. */
export const syncStates = [
  'corrupted-meta-json',
  'no-meta-json',
  'loaded',
  'too-fresh',
  'failed',
  'label-excluded',
  'time-excluded',
  'duplicate',
  'marked-for-deletion',
  'marked-for-no-compact',
  'marked-for-no-downsample',
  'parquet-migrated',
] as const;

export type SyncState = (typeof syncStates)[number];

/** What one synchronization counts; shown as a whole at its end. */
export class SyncCounts {
  readonly #states = new Map<SyncState, number>();
  replicaLabelsRemoved = 0;

  add(state: SyncState, count = 1): void {
    this.#states.set(state, this.of(state) + count);
  }

  of(state: SyncState): number {
    return this.#states.get(state) ?? 0;
  }
}

/** Thanos's metrics of block synchronization (pkg/block/fetcher.go). */
export class FetchMetrics {
  readonly syncs;
  readonly failures;
  readonly durationSeconds;
  readonly #synced;
  readonly #modified;

  constructor(metrics: Metrics) {
    this.syncs = metrics.counter({
      name: 'thanos_blocks_meta_syncs_total',
      help: 'Total blocks metadata synchronization attempts',
    });
    this.failures = metrics.counter({
      name: 'thanos_blocks_meta_sync_failures_total',
      help: 'Total blocks metadata synchronization failures',
    });
    this.durationSeconds = metrics.histogram({
      name: 'thanos_blocks_meta_sync_duration_seconds',
      help: 'Duration of the blocks metadata synchronization in seconds',
      buckets: [0.01, 1, 10, 100, 300, 600, 1000],
    });
    this.#synced = metrics.gauge({
      name: 'thanos_blocks_meta_synced',
      help: 'Number of block metadata synced',
      labels: ['state'],
    });
    this.#modified = metrics.gauge({
      name: 'thanos_blocks_meta_modified',
      help: 'Number of blocks whose metadata changed',
      labels: ['modified'],
    });
    this.show(new SyncCounts());
  }

  show(counts: SyncCounts): void {
    for (const state of syncStates) this.#synced.set({ state }, counts.of(state));
    this.#modified.set({ modified: 'replica-label-removed' }, counts.replicaLabelsRemoved);
  }
}
