import type { Metrics } from '#/telemetry/metrics.ts';

/** Thanos's metrics of a compactor (cmd/thanos/compact.go, pkg/compact/compact.go), and a few of ours. */
export class CompactMetrics {
  readonly halted;
  readonly retries;
  readonly iterations;
  readonly blocksMarked;
  readonly garbageCollections;
  readonly garbageCollectionFailures;
  readonly garbageCollectionSeconds;
  readonly garbageCollected;
  readonly groupCompactions;
  readonly groupRunsStarted;
  readonly groupRunsCompleted;
  readonly groupFailures;
  readonly groupVertical;
  readonly downsamples;
  readonly downsampleFailures;
  readonly downsampleSeconds;
  readonly todoCompactions;
  readonly todoBlocks;
  readonly todoDownsamples;
  readonly todoDeletions;
  readonly heldBlocks;
  readonly blocksCleaned;
  readonly blockCleanupFailures;
  readonly partialDeletionAttempts;
  readonly cleanupLoops;
  readonly quarantinedGroups;
  readonly unreadableBlocks;
  readonly backlogAgeSeconds;
  readonly timeLeftSeconds;
  readonly bytesPerSecond;
  readonly neededDiskBytes;
  readonly freeDiskBytes;
  readonly queueLastSuccess;
  readonly queueInTrouble;
  readonly rewrites;
  readonly rewriteFailures;
  readonly droppedSeries;
  readonly droppedSamples;

  constructor(metrics: Metrics) {
    const counter = (name: string, help: string) =>
      metrics.counter({ name: `thanos_compact_${name}`, help });
    const gauge = (name: string, help: string) =>
      metrics.gauge({ name: `thanos_compact_${name}`, help });
    const own = (name: string, help: string) =>
      metrics.gauge({ name: `hindsight_compact_${name}`, help });
    const byLabel = <Label extends string>(name: string, help: string, label: Label) =>
      metrics.gauge({ name: `hindsight_compact_${name}`, help, labels: [label] });
    const byReason = (name: string, help: string) =>
      metrics.counter({ name: `hindsight_compact_${name}`, help, labels: ['reason'] });
    const byResolution = (name: string, help: string) =>
      metrics.counter({ name: `thanos_compact_${name}`, help, labels: ['resolution'] });
    this.halted = gauge('halted', 'Set to 1 if the compactor halted due to an unexpected error.');
    this.retries = counter(
      'retries_total',
      'Total number of retries after retriable compactor error.',
    );
    this.iterations = counter(
      'iterations_total',
      'Total number of iterations that were executed successfully.',
    );
    this.blocksMarked = metrics.counter({
      name: 'thanos_compact_blocks_marked_total',
      help: 'Total number of blocks marked in compactor.',
      labels: ['marker', 'reason'],
    });
    this.garbageCollections = counter(
      'garbage_collection_total',
      'Total number of garbage collection operations.',
    );
    this.garbageCollectionFailures = counter(
      'garbage_collection_failures_total',
      'Total number of failed garbage collection operations.',
    );
    this.garbageCollectionSeconds = metrics.histogram({
      name: 'thanos_compact_garbage_collection_duration_seconds',
      help: 'Time it took to perform garbage collection iteration.',
      buckets: [0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720],
    });
    this.garbageCollected = counter(
      'garbage_collected_blocks_total',
      'Total number of blocks marked for deletion by compactor.',
    );
    this.groupCompactions = byResolution(
      'group_compactions_total',
      'Total number of group compaction attempts that resulted in a new block.',
    );
    this.groupRunsStarted = byResolution(
      'group_compaction_runs_started_total',
      'Total number of group compaction attempts.',
    );
    this.groupRunsCompleted = byResolution(
      'group_compaction_runs_completed_total',
      'Total number of group completed compaction runs. This also includes compactor group runs that resulted with no compaction.',
    );
    this.groupFailures = byResolution(
      'group_compactions_failures_total',
      'Total number of failed group compactions.',
    );
    this.groupVertical = byResolution(
      'group_vertical_compactions_total',
      'Total number of group compaction attempts that resulted in a new block based on overlapping blocks.',
    );
    this.downsamples = byResolution('downsample_total', 'Total number of downsampling attempts.');
    this.downsampleFailures = byResolution(
      'downsample_failures_total',
      'Total number of failed downsampling attempts.',
    );
    this.downsampleSeconds = metrics.histogram({
      name: 'thanos_compact_downsample_duration_seconds',
      help: 'Duration of downsample runs',
      labels: ['resolution'],
      buckets: [60, 300, 900, 1800, 3600, 7200, 14400],
    });
    this.todoCompactions = gauge('todo_compactions', 'number of compactions to be done');
    this.todoBlocks = gauge('todo_compaction_blocks', 'number of blocks planned to be compacted');
    this.todoDownsamples = gauge('todo_downsample_blocks', 'number of blocks to be downsampled');
    this.todoDeletions = gauge(
      'todo_deletion_blocks',
      'number of blocks that have crossed their retention period',
    );
    this.heldBlocks = own(
      'retention_held_blocks',
      'Blocks that are kept past their retention, because coarser ones are still to be made of them.',
    );
    this.blocksCleaned = counter(
      'blocks_cleaned_total',
      'Total number of blocks deleted in compactor.',
    );
    this.blockCleanupFailures = counter(
      'block_cleanup_failures_total',
      'Failures encountered while deleting blocks in compactor.',
    );
    this.partialDeletionAttempts = counter(
      'aborted_partial_uploads_deletion_attempts_total',
      'Total number of started deletions of blocks that are assumed aborted and only partially uploaded.',
    );
    this.cleanupLoops = counter(
      'block_cleanup_loops_total',
      'Total number of concurrent cleanup loops of partially uploaded blocks and marked blocks that were executed successfully.',
    );
    this.quarantinedGroups = byLabel(
      'quarantined_groups',
      'Groups of blocks, and blocks to be downsampled, that are left alone because of a fault; the log and the page name them.',
      'reason',
    );
    this.unreadableBlocks = own(
      'unreadable_blocks',
      'Blocks that are left out because their meta.json cannot be read, and that nobody has given up.',
    );
    this.backlogAgeSeconds = byLabel(
      'backlog_age_seconds',
      'How long ago the data of the oldest job to be done ended; 0 when there is none.',
      'queue',
    );
    this.timeLeftSeconds = byLabel(
      'eta_seconds',
      'How long the jobs to be done will take at the speed of the last ones; -1 while it is not known.',
      'queue',
    );
    this.bytesPerSecond = byLabel(
      'throughput_bytes_per_second',
      'Bytes of blocks that one job takes up in a second, on average over the last ones.',
      'queue',
    );
    this.neededDiskBytes = own(
      'needed_disk_bytes',
      'Disk that the largest of all jobs to be done takes.',
    );
    this.freeDiskBytes = own('free_disk_bytes', 'Disk that is free for jobs.');
    this.queueLastSuccess = byLabel(
      'queue_last_success_timestamp_seconds',
      'When a pass of the queue last got through, also with faults in some groups; 0 before the first.',
      'queue',
    );
    this.queueInTrouble = byLabel(
      'queue_in_trouble',
      'Set to 1 while a queue gets nowhere: its passes have been failing for long, or one hangs.',
      'queue',
    );
    this.rewrites = byReason(
      'blocks_rewritten_total',
      'Blocks that were replaced by ones without the samples that were to go, or marked because none was left.',
    );
    this.rewriteFailures = byReason(
      'rewrite_failures_total',
      'Blocks that could not be rewritten, however often they were tried.',
    );
    this.droppedSeries = byReason(
      'rewrite_dropped_series_total',
      'Series of which a rewritten block has no sample left.',
    );
    this.droppedSamples = byReason(
      'rewrite_dropped_samples_total',
      'Samples that rewritten blocks do not have any more; windows of downsampled ones.',
    );
  }
}
