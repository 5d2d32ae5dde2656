import * as v from 'valibot';
import { textMap, wholeNumber } from '#/config/schema.ts';
import { httpConfig, problemOfHttp } from '../remote/http.ts';

const MEBIBYTE = 1024 * 1024;
/** S3 takes no smaller part but the last, and no single upload above the larger. */
const MIN_PART_BYTES = 5 * MEBIBYTE;
const MAX_PUT_BYTES = 5 * 1024 * MEBIBYTE;

/** The `config` of `type: S3`, with the keys and defaults of Thanos. */
export const s3Schema = v.strictObject({
  bucket: v.optional(v.string(), ''),
  endpoint: v.optional(v.string(), ''),
  region: v.optional(v.string(), ''),
  disable_dualstack: v.optional(v.boolean(), false),
  aws_sdk_auth: v.optional(v.boolean(), false),
  access_key: v.optional(v.string(), ''),
  secret_key: v.optional(v.string(), ''),
  session_token: v.optional(v.string(), ''),
  insecure: v.optional(v.boolean(), false),
  signature_version2: v.optional(v.boolean(), false),
  put_user_metadata: v.optional(textMap(), {}),
  http_config: v.optional(httpConfig, {}),
  trace: v.optional(v.strictObject({ enable: v.optional(v.boolean(), false) }), {}),
  list_objects_version: v.optional(v.picklist(['', 'v1', 'v2']), ''),
  bucket_lookup_type: v.optional(v.picklist(['auto', 'virtual-hosted', 'path']), 'auto'),
  send_content_md5: v.optional(v.boolean(), true),
  disable_multipart: v.optional(v.boolean(), false),
  part_size: v.optional(wholeNumber(), 64 * MEBIBYTE),
  sse_config: v.optional(
    v.strictObject({
      type: v.optional(v.picklist(['', 'SSE-S3', 'SSE-KMS', 'SSE-C']), ''),
      kms_key_id: v.optional(v.string(), ''),
      kms_encryption_context: v.optional(textMap(), {}),
      encryption_key: v.optional(v.string(), ''),
    }),
    {},
  ),
  sts_endpoint: v.optional(v.string(), ''),
  max_retries: v.optional(wholeNumber(), 0),
});

export type S3Config = v.InferOutput<typeof s3Schema>;

/** What is wrong with keys that are each well-formed; `undefined` if they go together. */
export function problemOfS3(config: S3Config): string | undefined {
  const { endpoint, access_key, secret_key, sse_config } = config;
  if (config.bucket === '') return '"config.bucket" is missing; want the name of the bucket';
  if (endpoint === '') {
    return '"config.endpoint" is missing; want a host such as s3.eu-central-1.amazonaws.com';
  }
  if (endpoint.includes('/')) {
    return `"config.endpoint" is "${endpoint}"; want host or host:port alone (insecure: true means plain HTTP)`;
  }
  if (config.aws_sdk_auth && access_key !== '') {
    return '"config.aws_sdk_auth" and "config.access_key" exclude each other';
  }
  if ((access_key === '') !== (secret_key === '')) {
    const missing = access_key === '' ? 'access_key' : 'secret_key';
    return `"config.${missing}" is missing; set both access_key and secret_key, or neither for credentials from the environment`;
  }
  if (sse_config.type === 'SSE-C' && sse_config.encryption_key === '') {
    return '"config.sse_config.encryption_key" is missing; SSE-C needs the file of the key';
  }
  if (sse_config.type === 'SSE-KMS' && sse_config.kms_key_id === '') {
    return '"config.sse_config.kms_key_id" is missing; SSE-KMS needs it';
  }
  const httpProblem = problemOfHttp(config.http_config);
  if (httpProblem !== undefined) return httpProblem;
  if (config.part_size < MIN_PART_BYTES || config.part_size > MAX_PUT_BYTES) {
    return `"config.part_size" is ${config.part_size}; want ${MIN_PART_BYTES} to ${MAX_PUT_BYTES} bytes`;
  }
  return unsupported(config);
}

/** What we read and cannot do, rather than ignoring it. */
function unsupported(config: S3Config): string | undefined {
  if (config.signature_version2) {
    return '"config.signature_version2" is not supported; requests are signed with version 4';
  }
  if (config.sts_endpoint !== '') {
    return '"config.sts_endpoint" is not supported; set the environment variable AWS_ENDPOINT_URL_STS instead';
  }
  return undefined;
}
