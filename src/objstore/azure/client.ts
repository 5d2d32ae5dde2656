import { Agent as HttpsAgent } from 'node:https';
import type * as Sdk from '@azure/storage-blob';
import { http } from '#/http/node-http.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { agentOptions } from '../remote/http.ts';
import type { AzureConfig } from './config.ts';

interface ClientEffects {
  readonly disk: Disk;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface AzureClient extends Disposable {
  readonly container: Sdk.ContainerClient;
}

/**
 * A client that tries once; retries are the caller's. The SDK takes 0.3 s to load, and the one for
 * tokens as long again: only who uses them pays for it.
 * @throws BadInputError if a file cannot be read or the key or connection string is malformed.
 */
export async function createClient(
  config: AzureConfig,
  { disk, environment }: ClientEffects,
): Promise<AzureClient> {
  const sdk = await import('@azure/storage-blob');
  const { connections, tls } = await agentOptions(config.http_config, disk, environment);
  const agent = isPlain(config)
    ? new http.Agent(connections)
    : new HttpsAgent({ ...connections, ...tls });
  const options = {
    retryOptions: { maxTries: 1 },
    userAgentOptions: { userAgentPrefix: 'hindsight' },
    // Of the pipeline below the storage client, which hands it through.
    agent,
  };
  return {
    container: await containerOf(sdk, config, options),
    [Symbol.dispose]: () => agent.destroy(),
  };
}

/** In the order of Thanos. */
async function containerOf(
  sdk: typeof Sdk,
  config: AzureConfig,
  options: Sdk.StoragePipelineOptions,
): Promise<Sdk.ContainerClient> {
  const { storage_account: account, storage_connection_string: connection, container } = config;
  const key = config.storage_account_key;
  const url = `https://${account}.${config.endpoint}/${container}`;
  const named = <T>(name: string, work: () => T): T => {
    try {
      return work();
    } catch (thrown) {
      throw new BadInputError(`"config.${name}": ${messageOf(thrown)}`, { cause: thrown });
    }
  };
  if (connection !== '') {
    return named(
      'storage_connection_string',
      () => new sdk.ContainerClient(withProtocol(connection), container, options),
    );
  }
  if (key !== '') {
    return named('storage_account_key', () => {
      const credential = new sdk.StorageSharedKeyCredential(account, key);
      return new sdk.ContainerClient(url, credential, options);
    });
  }
  return new sdk.ContainerClient(url, await tokensOf(config), options);
}

async function tokensOf(config: AzureConfig) {
  const { az_tenant_id, client_id, client_secret, user_assigned_id } = config;
  const identity = await import('@azure/identity');
  if (client_secret !== '') {
    return new identity.ClientSecretCredential(az_tenant_id, client_id, client_secret);
  }
  return user_assigned_id === ''
    ? new identity.DefaultAzureCredential()
    : new identity.ManagedIdentityCredential({ clientId: user_assigned_id });
}

/** The SDK takes a string with an account's key only with a protocol in it; Thanos's does not need it. */
function withProtocol(connection: string): string {
  const isShort = /AccountKey=/i.test(connection) && !/DefaultEndpointsProtocol=/i.test(connection);
  return isShort ? `DefaultEndpointsProtocol=https;${connection}` : connection;
}

/** Only a connection string can lead to plain HTTP. */
function isPlain({ storage_connection_string: connection }: AzureConfig): boolean {
  const endpoint = /(?:^|;)\s*BlobEndpoint=(\w+):/i.exec(connection)?.[1];
  const protocol = /(?:^|;)\s*DefaultEndpointsProtocol=(\w+)/i.exec(connection)?.[1];
  if (/(?:^|;)\s*UseDevelopmentStorage=true/i.test(connection)) return true;
  return (endpoint ?? protocol)?.toLowerCase() === 'http';
}
