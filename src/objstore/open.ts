import * as v from 'valibot';
import { parseYaml } from '#/config/yaml.ts';
import type { Clock } from '#/lib/clock.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import type { Processes } from '#/lib/processes.ts';
import type { Random } from '#/lib/random.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { Bucket } from './bucket.ts';
import { openAzureBucket } from './azure.ts';
import { azureSchema, problemOfAzure } from './azure/config.ts';
import { FilesystemBucket } from './filesystem.ts';
import { openGcsBucket } from './gcs.ts';
import { gcsSchema, problemOfGcs } from './gcs/config.ts';
import { meteredBucket } from './metered.ts';
import { prefixedBucket } from './prefixed.ts';
import type { RemoteEffects } from './remote/effects.ts';
import type { HedgingConfig } from './remote/hedging.ts';
import { listPrices } from './request-prices.ts';
import type { RequestPrices } from './request-prices.ts';
import { openS3Bucket } from './s3.ts';
import { isAws } from './s3/client.ts';
import { problemOfS3, s3Schema } from './s3/config.ts';

/** A configuration text and where it came from: the flag or file, for messages. */
export interface ObjstoreConfig {
  readonly source: string;
  readonly text: string;
}

export interface ObjstoreEffects {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Environment variables; only those of proxies and emulators are looked at here. Default none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What requests cost; list prices of the provider when absent. */
  readonly prices?: RequestPrices;
  /** Requests a second at most, for providers over a network; 0 for no bound. Default 0. */
  readonly maxQps?: number;
  /** Tells when the holder of a directory's lock has died. */
  readonly processes?: Processes;
}

const PROVIDERS = ['FILESYSTEM', 'S3', 'GCS', 'AZURE'] as const;
const OTHER_PROVIDERS = ['SWIFT', 'COS', 'ALIYUNOSS', 'BOS', 'OCI', 'OBS'];

const common = {
  type: v.string(),
  prefix: v.optional(v.string(), ''),
  /** Of the store gateway's reads. */
  hedging_config: v.optional(
    v.strictObject({
      enabled: v.optional(v.boolean(), false),
      up_to: v.optional(v.number(), 3),
      quantile: v.optional(v.number(), 0.9),
    }),
    {},
  ),
};

const anyProvider = v.strictObject({ ...common, config: v.optional(v.unknown()) });
const filesystem = v.strictObject({
  ...common,
  // Upstream ignores unknown keys of this provider alone.
  config: v.optional(v.looseObject({ directory: v.optional(v.string(), '') }), {}),
});
const s3 = v.strictObject({ ...common, config: v.optional(s3Schema, {}) });
const gcs = v.strictObject({ ...common, config: v.optional(gcsSchema, {}) });
const azure = v.strictObject({ ...common, config: v.optional(azureSchema, {}) });

/**
 * Opens the bucket that Thanos's object storage configuration (YAML) describes, with its metrics.
 * Nothing is asked of the provider yet: wrong credentials show at the first operation.
 * @throws BadInputError that names the source, the place and what was expected.
 */
export async function openBucket(
  { source, text }: ObjstoreConfig,
  effects: ObjstoreEffects,
): Promise<Bucket> {
  const { type, prefix, hedging_config } = parseYaml(source, text, anyProvider);
  const { environment = {}, maxQps = 0 } = effects;
  const hedging = hedgingOf(source, hedging_config);
  const all = { ...effects, environment, maxQps, hedging };
  const { bucket, label, pricesOf } = await openProvider(source, type, text, all);
  const metering = {
    label,
    prices: effects.prices ?? listPrices(pricesOf),
    requestPerOperation: bucket instanceof FilesystemBucket,
  };
  return prefixedBucket(meteredBucket(bucket, metering, effects), prefix);
}

function hedgingOf(
  source: string,
  { enabled, up_to, quantile }: v.InferOutput<typeof common.hedging_config>,
): HedgingConfig | undefined {
  if (!enabled) return undefined;
  if (up_to < 2 || !Number.isInteger(up_to)) {
    throw new BadInputError(
      `${source}: "hedging_config.up_to" is ${up_to}; want a whole number from 2, the copies of a read with the first`,
    );
  }
  if (quantile <= 0 || quantile >= 1) {
    throw new BadInputError(
      `${source}: "hedging_config.quantile" is ${quantile}; want a number between 0 and 1, such as 0.95`,
    );
  }
  return { upTo: up_to, quantile };
}

interface Opened {
  readonly bucket: Bucket;
  /** The `bucket` label of metrics, as Thanos names buckets. */
  readonly label: string;
  /** Whose prices its requests have. */
  readonly pricesOf: Parameters<typeof listPrices>[0];
}

async function openProvider(
  source: string,
  type: string,
  text: string,
  effects: RemoteEffects & Pick<ObjstoreEffects, 'processes'>,
): Promise<Opened> {
  const provider = PROVIDERS.find((name) => name === type.toUpperCase());
  switch (provider) {
    case 'FILESYSTEM': {
      const { directory } = parseYaml(source, text, filesystem).config;
      if (directory === '') {
        throw new BadInputError(`${source}: "config.directory" is missing; want a path`);
      }
      const bucket = new FilesystemBucket(directory, effects);
      await bucket.removeLeftovers();
      const label = `fs: ${bucket.name.slice('file://'.length)}`;
      return { bucket, label, pricesOf: 'unknown' };
    }
    case 'S3': {
      const { config } = parseYaml(source, text, s3);
      return named(source, problemOfS3(config), async () => ({
        bucket: await openS3Bucket(config, effects),
        label: config.bucket,
        pricesOf: isAws(config) ? 'S3' : 'unknown',
      }));
    }
    case 'GCS': {
      const { config } = parseYaml(source, text, gcs);
      return named(source, problemOfGcs(config), async () => ({
        bucket: await openGcsBucket(config, effects),
        label: config.bucket,
        pricesOf: 'GCS',
      }));
    }
    case 'AZURE': {
      const { config } = parseYaml(source, text, azure);
      return named(source, problemOfAzure(config), async () => ({
        bucket: await openAzureBucket(config, effects),
        label: config.container,
        pricesOf: 'AZURE',
      }));
    }
    case undefined: {
      const known = `${PROVIDERS.slice(0, -1).join(', ')} or ${PROVIDERS.at(-1)}`;
      const isOther = OTHER_PROVIDERS.includes(type.toUpperCase());
      throw new BadInputError(
        isOther
          ? `${source}: type "${type}" is not supported by this version; use ${known}`
          : `${source}: unknown type "${type}"; use ${known}`,
      );
    }
  }
}

/** Opens unless there is a problem; what the configuration has done wrong is told with its source. */
async function named(
  source: string,
  problem: string | undefined,
  open: () => Promise<Opened>,
): Promise<Opened> {
  if (problem !== undefined) throw new BadInputError(`${source}: ${problem}`);
  try {
    return await open();
  } catch (thrown) {
    if (!(thrown instanceof BadInputError)) throw thrown;
    throw new BadInputError(`${source}: ${thrown.message}`, { cause: thrown });
  }
}
