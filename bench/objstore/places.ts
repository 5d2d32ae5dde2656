import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ContainerClient } from '@azure/storage-blob';
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { hasAzurite, startAzurite } from '../../test/support/azurite.ts';
import { hasRadosgw, startRadosgw } from '../../test/support/radosgw.ts';
import { exchange } from './exchange.ts';

/** A provider's calls without anything of ours around them. */
export interface BareCalls extends Disposable {
  /** Whose calls they are. */
  readonly library: string;
  read(
    name: string,
    range?: { readonly offset: number; readonly length: number },
  ): Promise<Readable>;
  upload(name: string, content: Buffer): Promise<unknown>;
}

/** A running server, how we are configured for it, and how its own library asks. */
export interface Place extends AsyncDisposable {
  readonly name: string;
  readonly config: object;
  readonly environment: Readonly<Record<string, string>>;
  /** Of large transfers; more do not fit where nothing is given back at once. */
  readonly rounds: number;
  bare(): BareCalls;
}

const BUCKET = 'bucket';

export const places: Readonly<Record<string, () => Promise<Place | undefined>>> = {
  's3-light': async () => {
    const server = await forked('s3');
    const place = s3Place(server.url, { id: 'key', secret: 'secret' }, server);
    return { ...place, name: 'S3, light server', rounds: 3 };
  },
  's3-radosgw': async () => {
    if (!hasRadosgw()) return undefined;
    const gateway = await startRadosgw();
    const credentials = { id: gateway.accessKey, secret: gateway.secretKey };
    const place = s3Place(`http://${gateway.endpoint}`, credentials, gateway);
    const client = s3Client(`http://${gateway.endpoint}`, credentials);
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    client.destroy();
    return { ...place, name: 'S3, radosgw', rounds: 1 };
  },
  gcs: async () => {
    const server = await forked('gcs');
    return {
      name: 'GCS, JSON server',
      config: { type: 'GCS', config: { bucket: BUCKET } },
      environment: { STORAGE_EMULATOR_HOST: server.url },
      rounds: 3,
      bare: () => gcsCalls(server.url),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
  azure: async () => {
    if (!hasAzurite()) return undefined;
    const azurite = await startAzurite();
    const { account, key, url } = azurite;
    const connection = `AccountName=${account};AccountKey=${key};BlobEndpoint=${url}/${account}`;
    return {
      name: 'Azure, Azurite',
      config: {
        type: 'AZURE',
        config: {
          storage_account: account,
          container: BUCKET,
          storage_connection_string: connection,
        },
      },
      environment: {},
      rounds: 2,
      bare: () => azureCalls(`DefaultEndpointsProtocol=http;${connection}`),
      [Symbol.asyncDispose]: () => azurite[Symbol.asyncDispose](),
    };
  },
};

interface Credentials {
  readonly id: string;
  readonly secret: string;
}

function s3Place(
  url: string,
  credentials: Credentials,
  server: AsyncDisposable,
): Omit<Place, 'name' | 'rounds'> {
  return {
    config: {
      type: 'S3',
      config: {
        bucket: BUCKET,
        endpoint: new URL(url).host,
        insecure: true,
        access_key: credentials.id,
        secret_key: credentials.secret,
      },
    },
    environment: {},
    bare: () => s3Calls(s3Client(url, credentials)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function s3Client(endpoint: string, { id, secret }: Credentials): S3Client {
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: id, secretAccessKey: secret },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

function s3Calls(client: S3Client): BareCalls {
  return {
    library: '@aws-sdk/client-s3',
    async read(Key, range) {
      const Range = range && `bytes=${range.offset}-${range.offset + range.length - 1}`;
      const input = { Bucket: BUCKET, Key, ...(Range === undefined ? {} : { Range }) };
      return (await client.send(new GetObjectCommand(input))).Body as Readable;
    },
    upload: (Key, Body) => client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body })),
    [Symbol.dispose]: () => client.destroy(),
  };
}

function azureCalls(connection: string): BareCalls {
  const container = new ContainerClient(connection, BUCKET);
  return {
    library: '@azure/storage-blob',
    async read(name, { offset = 0, length }: { offset?: number; length?: number } = {}) {
      const answer = await container.getBlobClient(name).download(offset, length);
      return answer.readableStreamBody as Readable;
    },
    upload: (name, content) =>
      container
        .getBlockBlobClient(name)
        .uploadData(content, { blockSize: 8 * 1024 * 1024, concurrency: 4 }),
    [Symbol.dispose]: () => undefined,
  };
}

/** Google's storage client is no dependency of ours: what stands beside us is plain HTTP. */
function gcsCalls(url: string): BareCalls {
  const agent = new Agent({ keepAlive: true });
  const object = (name: string) => `${url}/storage/v1/b/${BUCKET}/o/${encodeURIComponent(name)}`;
  return {
    library: 'node:http',
    read: (name, range) =>
      exchange(`${object(name)}?alt=media`, {
        agent,
        headers: range && { range: `bytes=${range.offset}-${range.offset + range.length - 1}` },
      }),
    async upload(name, content) {
      const query = new URLSearchParams({ uploadType: 'media', name });
      const target = `${url}/upload/storage/v1/b/${BUCKET}/o?${query.toString()}`;
      (await exchange(target, { agent, method: 'POST' }, content)).resume();
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

async function forked(kind: 's3' | 'gcs'): Promise<AsyncDisposable & { readonly url: string }> {
  const child = fork(join(import.meta.dirname, 'serve.ts'), [kind]);
  const [url] = (await once(child, 'message')) as [string];
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
