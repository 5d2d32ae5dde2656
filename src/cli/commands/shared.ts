import type { Runtime } from '#/components/runtime.ts';
import { parseRelabelRules, selectorActions } from '#/config/relabel.ts';
import { BadInputError } from '#/lib/errors.ts';
import { compileRelabeling } from '#/model/relabel.ts';
import type { Relabeling } from '#/model/relabel.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { openBucket } from '#/objstore/open.ts';
import { parseRequestPrices } from '#/objstore/request-prices.ts';
import type { RequestPrices } from '#/objstore/request-prices.ts';
import { readConfig } from '../config-text.ts';
import { configSource } from '../flags.ts';
import type { ConfigSource } from '../flags.ts';

interface HttpValues {
  readonly 'http-address': string;
  readonly 'http-grace-period': number;
}

export function httpOf(values: HttpValues) {
  return { address: values['http-address'], gracePeriodMs: values['http-grace-period'] };
}

interface ViewerValues {
  readonly 'web.route-prefix': string;
  readonly 'web.disable-cors': boolean;
  readonly 'disable-admin-operations': boolean;
}

/** What viewers of blocks have in common. */
export function viewerOf(values: ViewerValues) {
  return {
    routePrefix: values['web.route-prefix'],
    cors: !values['web.disable-cors'],
    adminOperations: !values['disable-admin-operations'],
  };
}

interface GrpcValues {
  readonly 'grpc-address': string;
  readonly 'grpc-grace-period': number;
}

export function grpcOf(values: GrpcValues) {
  return { address: values['grpc-address'], gracePeriodMs: values['grpc-grace-period'] };
}

interface BucketValues {
  readonly 'objstore.request-prices': ConfigSource | undefined;
  readonly 'objstore.request-prices-file': ConfigSource | undefined;
  readonly 'objstore.max-qps': number;
}

/** Opens the bucket that `--objstore.config` describes; the text is read at once, and checked then. */
export function bucketOf(
  source: ConfigSource,
  values: BucketValues,
): (runtime: Runtime) => Promise<Bucket> {
  const config = readConfig(source, 'expand');
  const prices = pricesOf(values);
  const maxQps = values['objstore.max-qps'];
  if (maxQps < 0) {
    throw new BadInputError(`--objstore.max-qps: must not be negative, got ${maxQps}`);
  }
  return (runtime) =>
    openBucket(config, {
      ...runtime,
      environment: process.env,
      maxQps,
      ...(prices === undefined ? {} : { prices }),
    });
}

function pricesOf(values: BucketValues): RequestPrices | undefined {
  const source = configSource(
    values['objstore.request-prices'],
    values['objstore.request-prices-file'],
  );
  if (source === undefined) return undefined;
  const config = readConfig(source);
  return parseRequestPrices(config.source, config.text);
}

interface SelectorValues {
  readonly 'selector.relabel-config': ConfigSource | undefined;
  readonly 'selector.relabel-config-file': ConfigSource | undefined;
}

/** `--selector.relabel-config`, if it is given. */
export function selectorOf(values: SelectorValues): Relabeling | undefined {
  const source = configSource(
    values['selector.relabel-config'],
    values['selector.relabel-config-file'],
  );
  if (source === undefined) return undefined;
  const { source: name, text } = readConfig(source);
  return compileRelabeling(parseRelabelRules(name, text, selectorActions));
}

/** @throws BadInputError naming the flag. */
export function workersOf(name: string, count: number): number {
  if (count < 0) throw new BadInputError(`${name}: must not be negative, got ${count}`);
  return count;
}
