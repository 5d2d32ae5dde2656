import { join, normalize } from 'node:path';
import { BadInputError } from '#/lib/errors.ts';
import { formatDuration } from '#/model/time.ts';
import type { PrometheusFlags } from '#/storeapi/prometheus-client.ts';

export interface UploadSettings {
  readonly tsdbPath: string;
  readonly metaFileName: string;
  readonly ignoreUnequalBlockSize: boolean;
}

const TWO_HOURS_MS = 7_200_000;

/**
 * Whether the blocks of a Prometheus with these flags can be uploaded: it must leave them alone, or
 * wait with compaction until the shipper's file lists them. The result is warnings for the log.
 * @throws BadInputError naming the flags that do not fit.
 */
export function checkFlags(flags: PrometheusFlags, upload: UploadSettings): string[] {
  const { delayCompactFile, minBlockDurationMs, maxBlockDurationMs } = flags;
  const shipperFile = join(upload.tsdbPath, upload.metaFileName);
  if (delayCompactFile !== '' && normalize(delayCompactFile) !== normalize(shipperFile)) {
    throw new BadInputError(
      `Prometheus waits for uploads listed in --storage.tsdb.delay-compact-file.path=${delayCompactFile}, ` +
        `but the shipper lists them in ${shipperFile} (--tsdb.path and --shipper.meta-file-name); use the same file for both`,
    );
  }
  const warnings: string[] = [];
  if (minBlockDurationMs !== maxBlockDurationMs && delayCompactFile === '') {
    if (!upload.ignoreUnequalBlockSize) {
      throw new BadInputError(
        `Prometheus compacts its blocks: --storage.tsdb.min-block-duration is ${formatDuration(minBlockDurationMs)} ` +
          `and --storage.tsdb.max-block-duration is ${formatDuration(maxBlockDurationMs)}; ` +
          'set both to the same duration (2h), so that blocks are uploaded before they are compacted',
      );
    }
    warnings.push(
      'Prometheus may compact a block before it is uploaded, which then never reaches the bucket',
    );
  }
  if (minBlockDurationMs !== TWO_HOURS_MS) {
    warnings.push(
      `Prometheus cuts blocks of ${formatDuration(minBlockDurationMs)}; 2h is what everything is made for`,
    );
  }
  return warnings;
}
