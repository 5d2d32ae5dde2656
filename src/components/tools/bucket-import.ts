import { join } from 'node:path';
import { BadInputError } from '#/lib/errors.ts';
import type { Labels } from '#/model/labels.ts';
import type { BucketTool } from './bucket-tool.ts';
import { writeOpenMetricsBlocks } from './import/openmetrics-blocks.ts';
import type { OpenMetricsText } from './import/openmetrics-blocks.ts';
import { placeBlocks } from './import/place-blocks.ts';
import type { ImportBlock, PlaceOptions } from './import/place-blocks.ts';
import { findPrometheusBlocks } from './import/prometheus-blocks.ts';

export interface ImportConfig extends PlaceOptions {
  readonly from:
    | {
        readonly kind: 'openmetrics';
        readonly open: (tool: BucketTool) => Promise<OpenMetricsText>;
        /** Of the blocks to make. */
        readonly windowMs: number;
        /** Samples that are in memory at once; by default so many that they take 25 MB. */
        readonly maxSamples?: number;
      }
    | { readonly kind: 'prometheus'; readonly path: string; readonly snapshot: string | undefined };
  /** The external labels that the blocks get. */
  readonly labels: Labels;
  /** Where blocks are made, in a directory of its own; for one import at a time. */
  readonly dataDirectory: string;
}

/**
 * Brings samples from elsewhere into the bucket: a text of OpenMetrics, or the blocks of a Prometheus.
 * Everything is read and checked before the first upload, and an import that was interrupted, or is
 * done again, uploads only what is not there yet.
 */
export async function importBlocks(config: ImportConfig, tool: BucketTool): Promise<number> {
  const { from, labels } = config;
  const directory = join(config.dataDirectory, 'import');
  const { disk, log } = tool;
  await disk.remove(directory);
  let blocks: readonly ImportBlock[];
  if (from.kind === 'prometheus') blocks = await findPrometheusBlocks(from, labels, tool);
  else {
    if (labels.size === 0) {
      throw new BadInputError('--label: expected the external labels of the blocks, got none');
    }
    await disk.makeDirectory(directory);
    const { windowMs, maxSamples } = from;
    const text = await from.open(tool);
    blocks = await writeOpenMetricsBlocks(text, { labels, windowMs, directory, maxSamples }, tool);
  }
  await placeBlocks(blocks, config, tool);
  await disk.remove(directory);
  log.info(config.dryRun ? 'import would be done' : 'import done', { blocks: blocks.length });
  return 0;
}
