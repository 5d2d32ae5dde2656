import type { ManualClock } from '#/lib/manual-clock.ts';
import type { MemoryDisk } from '#/lib/memory-disk.ts';
import type { Random } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { SeriesBatch, SeriesRequest, Store, StoreSeries } from '#/storeapi/store.ts';
import { compareLabels } from '#/model/labels.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { BLOCK_MS, HOUR_MS, indexesIn } from './truth.ts';
import type { Replica, ScrapedSeries } from './truth.ts';

export const PROMETHEUS_DIRECTORY = '/prometheus';
/** How long it keeps its blocks; longer than any outage in a simulation. */
export const LOCAL_RETENTION_MS = 16 * HOUR_MS;

/** Told of every block that was cut. */
export type OnBlock = (block: {
  readonly ulid: string;
  readonly replica: Replica;
  readonly mint: number;
  readonly maxt: number;
}) => void;

/**
 * A Prometheus that scrapes what it is told: it cuts blocks of two hours an hour after they are
 * over, and deletes them when they are old. It does not crash: what becomes of its WAL is not
 * ours to find out.
 */
export class FakePrometheus {
  readonly replica: Replica;
  readonly #series: readonly ScrapedSeries[];
  readonly #clock: ManualClock;
  readonly #disk: MemoryDisk;
  readonly #random: Random;
  readonly #onBlock: OnBlock;
  readonly #local: { readonly ulid: string; readonly maxt: number }[] = [];
  #deletedUntilMs = 0;

  constructor(
    replica: Replica,
    options: {
      readonly series: readonly ScrapedSeries[];
      readonly clock: ManualClock;
      readonly disk: MemoryDisk;
      readonly random: Random;
      readonly onBlock: OnBlock;
    },
  ) {
    this.replica = replica;
    this.#series = options.series;
    this.#clock = options.clock;
    this.#disk = options.disk;
    this.#random = options.random;
    this.#onBlock = options.onBlock;
  }

  get externalLabels(): Labels {
    return Labels.fromObject({ cluster: 'x', replica: this.replica });
  }

  /** Its sidecar has nothing from before this time. */
  get deletedUntilMs(): number {
    return this.#deletedUntilMs;
  }

  async run(startMs: number): Promise<void> {
    await this.#disk.makeDirectory(`${PROMETHEUS_DIRECTORY}/wal`);
    for (let mint = startMs; ; mint += BLOCK_MS) {
      await this.#clock.sleep(mint + BLOCK_MS + HOUR_MS - this.#clock.now());
      await this.#cut(mint, mint + BLOCK_MS);
      await this.#deleteOld();
    }
  }

  async #cut(mint: number, maxt: number): Promise<void> {
    const builder = new BlockBuilder();
    let count = 0;
    for (const series of this.#series) {
      const { from, to } = indexesIn(series, { mint, maxt });
      if (from === to) continue;
      const samples = builder.samples(series.labels);
      for (let i = from; i < to; i++) samples.pushFloat(series.times[i]!, series.values[i]!);
      count += to - from;
    }
    if (count === 0) return;
    const ulid = newUlid(this.#clock.now(), this.#random);
    this.#disk.full = false;
    this.#onBlock({ ulid, replica: this.replica, mint, maxt });
    this.#local.push({ ulid, maxt });
    await builder.write(this.#disk, PROMETHEUS_DIRECTORY, { ulid, minTime: mint, maxTime: maxt });
  }

  async #deleteOld(): Promise<void> {
    const limit = (this.#local.at(-1)?.maxt ?? 0) - LOCAL_RETENTION_MS;
    while (this.#local[0] !== undefined && this.#local[0].maxt < limit) {
      const { ulid, maxt } = this.#local.shift()!;
      this.#deletedUntilMs = maxt;
      await this.#disk.remove(`${PROMETHEUS_DIRECTORY}/${ulid}`);
    }
  }

  /** What its sidecar serves: all that it has not deleted, scraped up to this moment. */
  store(): Store {
    return {
      info: () => ({
        labelSets: [this.externalLabels],
        mint: 0,
        maxt: Number.MAX_SAFE_INTEGER,
        tsdbInfos: [],
        supportsSharding: false,
        supportsWithoutReplicaLabels: true,
      }),
      series: (request) => once({ series: this.#answer(request), warnings: [] }),
      labelNames: () => Promise.resolve({ names: [], warnings: [] }),
      labelValues: () => Promise.resolve({ names: [], warnings: [] }),
    };
  }

  #answer(request: SeriesRequest): StoreSeries[] {
    const mint = Math.max(request.mint, this.#deletedUntilMs);
    const maxt = Math.min(request.maxt, this.#clock.now());
    const replicaLabels = new Set(request.withoutReplicaLabels);
    const found: StoreSeries[] = [];
    for (const series of this.#series) {
      const all = series.labels.merge(this.externalLabels);
      if (!matchesAll(request.matchers, all)) continue;
      const samples = new SampleBuffer();
      const { from, to } = indexesIn(series, { mint, maxt: maxt + 1 });
      for (let i = from; i < to; i++) samples.pushFloat(series.times[i]!, series.values[i]!);
      if (samples.length === 0) continue;
      const chunks = encodeSamples(samples).map(({ encoding, data, ...range }) => ({
        mint: range.mint,
        maxt: range.maxt,
        raw: { encoding, data },
      }));
      found.push({ labels: all.without(replicaLabels), chunks });
    }
    return found.sort((a, b) => compareLabels(a.labels, b.labels));
  }
}

async function* once(batch: SeriesBatch): AsyncGenerator<SeriesBatch> {
  yield await Promise.resolve(batch);
}
