import * as v from 'valibot';
import { duration, wholeNumber } from '#/config/schema.ts';
import { httpConfig, problemOfHttp } from '../remote/http.ts';

/** The `config` of `type: AZURE`, with the keys and defaults of Thanos. */
export const azureSchema = v.strictObject({
  az_tenant_id: v.optional(v.string(), ''),
  client_id: v.optional(v.string(), ''),
  client_secret: v.optional(v.string(), ''),
  storage_account: v.optional(v.string(), ''),
  storage_account_key: v.optional(v.string(), ''),
  storage_connection_string: v.optional(v.string(), ''),
  storage_create_container: v.optional(v.boolean(), true),
  container: v.optional(v.string(), ''),
  endpoint: v.optional(v.string(), 'blob.core.windows.net'),
  user_assigned_id: v.optional(v.string(), ''),
  /** Stands in for the two below where they are 0. */
  max_retries: v.optional(wholeNumber(), 0),
  reader_config: v.optional(
    v.strictObject({ max_retry_requests: v.optional(wholeNumber(), 0) }),
    {},
  ),
  pipeline_config: v.optional(
    v.strictObject({
      /** Retries, in spite of its name, as in Thanos. */
      max_tries: v.optional(wholeNumber(), 0),
      try_timeout: v.optional(duration(), '0s'),
      retry_delay: v.optional(duration(), '0s'),
      max_retry_delay: v.optional(duration(), '0s'),
    }),
    {},
  ),
  http_config: v.optional(httpConfig, {}),
  /** Has had no effect in Thanos for years. */
  msi_resource: v.optional(v.string(), ''),
});

export type AzureConfig = v.InferOutput<typeof azureSchema>;

/** What is wrong with keys that are each well-formed; `undefined` if they go together. */
export function problemOfAzure(config: AzureConfig): string | undefined {
  if (config.storage_account === '') {
    return '"config.storage_account" is missing; want the name of the storage account';
  }
  if (config.container === '') {
    return '"config.container" is missing; want the name of the container';
  }
  if (config.endpoint.includes('/')) {
    return `"config.endpoint" is "${config.endpoint}"; want a host such as blob.core.windows.net`;
  }
  return problemOfCredentials(config) ?? problemOfHttp(config.http_config);
}

function problemOfCredentials(config: AzureConfig): string | undefined {
  const application = ['az_tenant_id', 'client_id', 'client_secret'] as const;
  const missing = application.filter((key) => config[key] === '');
  if (missing.length > 0 && missing.length < application.length) {
    return `"config.${missing[0]}" is missing; set az_tenant_id, client_id and client_secret together`;
  }
  const exclusive = [
    ['user_assigned_id', 'storage_account_key'],
    ['user_assigned_id', 'storage_connection_string'],
    ['user_assigned_id', 'client_id'],
    ['storage_account_key', 'storage_connection_string'],
  ] as const;
  const both = exclusive.find(([one, other]) => config[one] !== '' && config[other] !== '');
  return both && `"config.${both[0]}" and "config.${both[1]}" exclude each other; set one of them`;
}
