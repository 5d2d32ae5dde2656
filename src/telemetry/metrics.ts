import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** A family of metrics with the given label names. */
interface MetricOptions<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly Label[];
}

/**
 * The metrics of one process. Components ask for a metric by name, with the names and labels that
 * Thanos uses; asking twice gives the same metric, so several components can live in one process.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #updates: (() => void)[] = [];

  /** Adds the process's own metrics (CPU, memory, event loop). */
  collectProcessMetrics(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  counter<Label extends string>(options: MetricOptions<Label>): Counter<Label> {
    return this.#existing<Counter<Label>>(options.name) ?? new Counter(this.#config(options));
  }

  gauge<Label extends string>(options: MetricOptions<Label>): Gauge<Label> {
    return this.#existing<Gauge<Label>>(options.name) ?? new Gauge(this.#config(options));
  }

  /** A gauge whose value is asked for at every scrape. */
  gaugeFrom(options: MetricOptions<never>, read: () => number): void {
    new Gauge({
      ...this.#config(options),
      collect() {
        this.set(read());
      },
    });
  }

  histogram<Label extends string>(
    options: MetricOptions<Label> & { readonly buckets: readonly number[] },
  ): Histogram<Label> {
    return (
      this.#existing<Histogram<Label>>(options.name) ??
      new Histogram({ ...this.#config(options), buckets: [...options.buckets] })
    );
  }

  /** Runs `update` at every scrape, for values that change by themselves. */
  beforeScrape(update: () => void): void {
    this.#updates.push(update);
  }

  /** The Prometheus text format. */
  text(): Promise<string> {
    for (const update of this.#updates) update();
    return this.#registry.metrics();
  }

  #existing<Metric>(name: string): Metric | undefined {
    return this.#registry.getSingleMetric(name) as Metric | undefined;
  }

  #config<Label extends string>({ name, help, labels = [] }: MetricOptions<Label>) {
    return { name, help, labelNames: [...labels], registers: [this.#registry] };
  }
}
