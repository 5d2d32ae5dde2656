import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { GcsServer } from '../../src/objstore/testing/gcs-server.ts';
import { hasAzurite, startAzurite } from './azurite.ts';
import { hasRadosgw, startRadosgw } from './radosgw.ts';

/** The providers of object storage that are reached over a network. */
export const REMOTE_PROVIDERS = ['s3', 'gcs', 'azure'] as const;
export type RemoteProvider = (typeof REMOTE_PROVIDERS)[number];

/** What a process needs to find a bucket. */
export interface BucketAccess {
  /** For `--objstore.config`. */
  readonly objstore: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** A server of one provider's protocol with an empty bucket. */
export interface BucketServer extends AsyncDisposable {
  readonly url: string;
  /** The bucket as it is reached at `url`, which may be a proxy's; the server's own by default. */
  access(url?: string): BucketAccess;
}

/** Why the provider's server cannot run here and what helps; `undefined` if it can. */
export function whyNoServer(provider: RemoteProvider): string | undefined {
  const hint = 'sh bin/setup --servers installs it';
  if (provider === 's3' && !hasRadosgw()) return `no radosgw on this machine; ${hint}`;
  if (provider === 'azure' && !hasAzurite()) return `no Azurite on this machine; ${hint}`;
  return undefined;
}

/** @throws Error if the server is not on this machine. */
export function startBucketServer(provider: RemoteProvider): Promise<BucketServer> {
  const problem = whyNoServer(provider);
  if (problem !== undefined) throw new Error(problem);
  switch (provider) {
    case 's3':
      return startS3();
    case 'gcs':
      return startGcs();
    case 'azure':
      return startAzure();
  }
}

const BUCKET = 'hindsight';

async function startS3(): Promise<BucketServer> {
  await using opened = new AsyncDisposableStack();
  const { endpoint, accessKey, secretKey } = opened.use(await startRadosgw());
  const url = `http://${endpoint}`;
  const client = new S3Client({
    endpoint: url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  client.destroy();
  return server(opened.move(), url, (at) => ({
    type: 'S3',
    config: {
      bucket: BUCKET,
      endpoint: new URL(at).host,
      insecure: true,
      access_key: accessKey,
      secret_key: secretKey,
    },
  }));
}

/** The bucket of the emulator has a name of its own; its address goes through the environment. */
async function startGcs(): Promise<BucketServer> {
  await using opened = new AsyncDisposableStack();
  const { url } = opened.use(await GcsServer.start());
  const config = { type: 'GCS', config: { bucket: 'bucket' } };
  const environment = (at: string) => ({ STORAGE_EMULATOR_HOST: at });
  return server(opened.move(), url, () => config, environment);
}

async function startAzure(): Promise<BucketServer> {
  await using opened = new AsyncDisposableStack();
  const { url, account, key } = opened.use(await startAzurite());
  return server(opened.move(), url, (at) => ({
    type: 'AZURE',
    config: {
      storage_account: account,
      container: BUCKET,
      storage_connection_string: `AccountName=${account};AccountKey=${key};BlobEndpoint=${at}/${account}`,
      storage_create_container: true,
    },
  }));
}

function server(
  owned: AsyncDisposableStack,
  url: string,
  config: (url: string) => Readonly<Record<string, unknown>>,
  environment: (url: string) => Readonly<Record<string, string>> = () => ({}),
): BucketServer {
  return {
    url,
    access: (at = url) => ({ objstore: JSON.stringify(config(at)), environment: environment(at) }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
