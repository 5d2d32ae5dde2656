import * as v from 'valibot';
import { parseYaml } from '#/config/yaml.ts';
import { REQUEST_KINDS } from './bucket.ts';
import type { RequestKind } from './bucket.ts';

/** What 1,000 requests of each kind cost, without what providers take for bytes and for keeping them. */
export interface RequestPrices {
  readonly currency: string;
  readonly perThousand: Readonly<Record<RequestKind, number>>;
}

const free: RequestPrices = {
  currency: 'USD',
  perThousand: { list: 0, get: 0, head: 0, put: 0, delete: 0 },
};

/**
 * List prices of 2025 for standard storage in one region of the United States:
 *
 * - S3 Standard, us-east-1 (aws.amazon.com/s3/pricing): PUT, COPY, POST and LIST 0.005 USD a
 *   thousand, GET and all others 0.0004, DELETE free.
 * - GCS Standard, one region (cloud.google.com/storage/pricing): class A (insert, list) 0.005,
 *   class B (get) 0.0004, delete free.
 * - Azure, hot block blobs, LRS, East US (azure.microsoft.com/pricing/details/storage/blobs): write
 *   and list 0.05 USD for ten thousand, read and others 0.004, delete free.
 *
 * Other regions, classes and redundancies cost more, contracts less: those are for the user to say.
 */
const ofCloud: RequestPrices = {
  currency: 'USD',
  perThousand: { list: 0.005, get: 0.0004, head: 0.0004, put: 0.005, delete: 0 },
};

/** What is charged unless the user says otherwise: nothing where no price is known. */
export function listPrices(of: 'S3' | 'GCS' | 'AZURE' | 'unknown'): RequestPrices {
  return of === 'unknown' ? free : ofCloud;
}

const price = v.pipe(v.number(), v.minValue(0));
const schema = v.strictObject({
  currency: v.optional(v.string(), 'USD'),
  per_thousand: v.strictObject(v.entriesFromList(REQUEST_KINDS, v.optional(price, 0))),
});

/**
 * Prices that the user gives as YAML:
 *
 *     currency: EUR
 *     per_thousand: {list: 0.0054, put: 0.0054, get: 0.00043, head: 0.00043, delete: 0}
 *
 * @throws BadInputError that names the source, the place and what was expected.
 */
export function parseRequestPrices(source: string, text: string): RequestPrices {
  const { currency, per_thousand: perThousand } = parseYaml(source, text, schema);
  return { currency, perThousand };
}
