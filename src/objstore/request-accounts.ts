import type { Clock } from '#/lib/clock.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { HourlySum } from './accounts/hourly-sum.ts';
import type { OperationOptions, RequestKind } from './bucket.ts';
import type { RequestPrices } from './request-prices.ts';

export interface AccountEffects {
  readonly clock: Pick<Clock, 'now'>;
  readonly log?: Log;
  readonly metrics: Metrics;
}

const HOUR_MS = 3_600_000;

/**
 * Counts the requests to one bucket, and the bytes of contents that they carry, by what they are
 * for, and estimates what the requests cost. What is paid for storage, for data that leaves the
 * region and for retrieval from colder classes is not part of it.
 */
export class RequestAccounts {
  readonly #bucket: string;
  readonly #prices: RequestPrices;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #log: Log | undefined;
  readonly #requests;
  readonly #bytes;
  readonly #cost;
  readonly #costOfHour: HourlySum;
  readonly #requestsOfHour: HourlySum;
  #reportedAt: number;

  constructor(bucket: string, prices: RequestPrices, { clock, log, metrics }: AccountEffects) {
    this.#bucket = bucket;
    this.#prices = prices;
    this.#clock = clock;
    this.#log = log;
    const start = clock.now();
    this.#costOfHour = new HourlySum(start);
    this.#requestsOfHour = new HourlySum(start);
    this.#reportedAt = start;
    this.#requests = metrics.counter({
      name: 'hindsight_objstore_requests_total',
      help: 'Requests sent to the bucket, retries included, by what they are for.',
      labels: ['bucket', 'reason', 'request'],
    });
    this.#bytes = metrics.counter({
      name: 'hindsight_objstore_bytes_total',
      help: 'Bytes of contents read from the bucket and written to it, by what they are for.',
      labels: ['bucket', 'reason', 'direction'],
    });
    const currency = prices.currency;
    this.#cost = metrics.counter({
      name: 'hindsight_objstore_request_cost_total',
      help: 'Estimate of what the requests cost so far, without storage, egress and retrieval.',
      labels: ['bucket', 'reason', 'currency'],
    });
    const perHour = metrics.gauge({
      name: 'hindsight_objstore_request_cost_per_hour',
      help: 'Estimate of what the requests of an hour cost, from those of the last hour or since the start.',
      labels: ['bucket', 'currency'],
    });
    // Two buckets of one process may have one name: each adds its own part.
    let shown = 0;
    metrics.beforeScrape(() => {
      const cost = this.costPerHour;
      perHour.inc({ bucket, currency }, cost - shown);
      shown = cost;
    });
  }

  /** What an hour's requests cost at the pace of the last hour, or since the start. */
  get costPerHour(): number {
    return this.#costOfHour.perHour(this.#clock.now());
  }

  /** `options` whose requests are counted here. */
  counted<Options extends OperationOptions>(options: Options | undefined): Counted<Options> {
    const { reason = 'other', tally } = options ?? {};
    const onRequest = (request: RequestKind) => {
      const cost = this.#prices.perThousand[request] / 1000;
      const labels = { bucket: this.#bucket, reason };
      this.#requests.inc({ ...labels, request });
      this.#cost.inc({ ...labels, currency: this.#prices.currency }, cost);
      tally?.add(reason, 1, 0);
      this.#note(cost);
    };
    return { ...options, onRequest } as Counted<Options>;
  }

  /** Bytes that were read for what `options` say. */
  received({ reason = 'other', tally }: OperationOptions, bytes: number): void {
    this.#bytes.inc({ bucket: this.#bucket, reason, direction: 'received' }, bytes);
    tally?.add(reason, 0, bytes);
  }

  /** Bytes that were written. */
  sent({ reason = 'other', tally }: OperationOptions, bytes: number): void {
    this.#bytes.inc({ bucket: this.#bucket, reason, direction: 'sent' }, bytes);
    tally?.add(reason, 0, bytes);
  }

  #note(cost: number): void {
    const now = this.#clock.now();
    this.#costOfHour.add(now, cost);
    this.#requestsOfHour.add(now, 1);
    if (now - this.#reportedAt < HOUR_MS) return;
    this.#reportedAt = now;
    this.#log?.info('requests to the bucket in the last hour', {
      bucket: this.#bucket,
      requests: this.#requestsOfHour.perHour(now),
      cost: `${this.costPerHour.toFixed(4)} ${this.#prices.currency}`,
      not_counted: 'storage, egress, retrieval',
    });
  }
}

type Counted<Options extends OperationOptions> = Options & {
  readonly onRequest: (kind: RequestKind) => void;
};
