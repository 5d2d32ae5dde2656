import * as v from 'valibot';
import { wholeNumber } from '#/config/schema.ts';
import { messageOf } from '#/lib/errors.ts';
import { httpConfig, problemOfHttp } from '../remote/http.ts';

/** The `config` of `type: GCS`, with the keys and defaults of Thanos. */
export const gcsSchema = v.strictObject({
  bucket: v.optional(v.string(), ''),
  /** The JSON of a credentials file; without it Google's application default credentials. */
  service_account: v.optional(v.string(), ''),
  /** Requests go over HTTP all the same: the objects are the same. */
  use_grpc: v.optional(v.boolean(), false),
  grpc_conn_pool_size: v.optional(wholeNumber(), 0),
  http_config: v.optional(httpConfig, {}),
  /** Of the parts that large objects go up in. */
  chunk_size_bytes: v.optional(wholeNumber(), 0),
  /** Attempts of one operation; 1 tries once. */
  max_retries: v.optional(wholeNumber(), 0),
});

export type GcsConfig = v.InferOutput<typeof gcsSchema>;

/** What is wrong with keys that are each well-formed; `undefined` if they go together. */
export function problemOfGcs({ bucket, service_account, http_config }: GcsConfig) {
  if (bucket === '') return '"config.bucket" is missing; want the name of the bucket';
  return problemOfAccount(service_account) ?? problemOfHttp(http_config);
}

/** The text is a secret: no part of it goes into a message. */
function problemOfAccount(text: string): string | undefined {
  if (text === '') return undefined;
  const want = 'want the JSON of a credentials file, as in service_account: |-';
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || !('type' in parsed)) {
      return `"config.service_account" has no "type"; ${want}`;
    }
    return undefined;
  } catch (thrown) {
    const place = /position \d+/.exec(messageOf(thrown))?.[0];
    const where = place === undefined ? '' : ` (at ${place})`;
    return `"config.service_account" is not valid JSON${where}; ${want}`;
  }
}
