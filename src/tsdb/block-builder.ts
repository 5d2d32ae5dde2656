import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ownSource } from './block-meta.ts';
import type { BlockMeta, ThanosMeta } from './block-meta.ts';
import { BlockWriter } from './block-writer.ts';
import { encodeSamples } from './chunk-encoder.ts';
import type { EncodeOptions } from './chunk-encoder.ts';

export interface BuildOptions extends EncodeOptions {
  readonly ulid: string;
  /** Default: as tight as the samples allow. */
  readonly minTime?: number;
  readonly maxTime?: number;
  readonly thanos?: ThanosMeta;
}

/** Collects samples in memory and writes them as one block: for tests, the demo and small imports. */
export class BlockBuilder {
  readonly #series = new Map<string, { readonly labels: Labels; readonly samples: SampleBuffer }>();

  /** The samples of a series, to append to in time order; created empty at first. */
  samples(labels: Labels): SampleBuffer {
    let series = this.#series.get(labels.key);
    if (series === undefined) {
      series = { labels, samples: new SampleBuffer(128) };
      this.#series.set(labels.key, series);
    }
    return series.samples;
  }

  /**
   * Writes the block into `directory` and returns its meta. The builder stays as it is.
   * @throws BadInputError if there are no samples, or samples of a series are not in time order.
   */
  async write(disk: Disk, directory: string, options: BuildOptions): Promise<BlockMeta> {
    const filled = [...this.#series.values()]
      .filter(({ samples }) => samples.length > 0)
      .sort((a, b) => compareLabels(a.labels, b.labels));
    for (const { labels, samples } of filled) checkOrder(labels, samples);
    const range = timeRange(filled.map(({ samples }) => samples));
    if (range === undefined) throw new BadInputError('a block needs samples: none were added');
    const { ulid, thanos } = options;
    await using writer = await BlockWriter.open(
      {
        ulid,
        minTime: options.minTime ?? range.first,
        maxTime: options.maxTime ?? range.last + 1,
        compaction: ownSource(ulid),
        ...(thanos === undefined ? {} : { thanos }),
      },
      { disk, directory, symbols: symbolsOf(filled.map(({ labels }) => labels)) },
    );
    for (const { labels, samples } of filled) {
      await writer.addSeries(labels, encodeSamples(samples, options));
    }
    return await writer.finish();
  }
}

/** Every name and value of the label sets, sorted by bytes, each once. */
export function symbolsOf(labelSets: Iterable<Labels>): string[] {
  const symbols = new Set<string>();
  for (const labels of labelSets) for (const text of labels.flat) symbols.add(text);
  return [...symbols].sort(compareUtf8);
}

function checkOrder(labels: Labels, { times, length }: SampleBuffer): void {
  for (let i = 1; i < length; i++) {
    if (times[i]! <= times[i - 1]!) {
      throw new BadInputError(
        `series ${labels.toMetricString()}: sample ${i} at ${times[i]} does not come after the one at ${times[i - 1]}`,
      );
    }
  }
}

function timeRange(all: readonly SampleBuffer[]): { first: number; last: number } | undefined {
  if (all.length === 0) return undefined;
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const { times, length } of all) {
    first = Math.min(first, times[0]!);
    last = Math.max(last, times[length - 1]!);
  }
  return { first, last };
}
