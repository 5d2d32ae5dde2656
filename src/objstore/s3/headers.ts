import { createHash } from 'node:crypto';
import type * as Sdk from '@aws-sdk/client-s3';
import type { Disk } from '#/lib/disk.ts';
import { readConfiguredFile } from '../remote/http.ts';
import type { Condition } from '../remote/service.ts';
import { isAws } from './client.ts';
import type { S3Config } from './config.ts';

/** What the configuration adds to requests. */
export interface ObjectHeaders {
  /** To those that make an object. */
  readonly stored: Pick<
    Sdk.PutObjectCommandInput,
    'Metadata' | 'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId' | 'SSEKMSEncryptionContext'
  >;
  /** To everything that reads or writes contents. */
  readonly customerKey: Pick<Sdk.GetObjectCommandInput, 'SSECustomerAlgorithm' | 'SSECustomerKey'>;
  /** To those that send contents. */
  readonly checksum: (bytes: Uint8Array) => Pick<Sdk.PutObjectCommandInput, 'ContentMD5'>;
}

/** @throws BadInputError if the file of the customer's key cannot be read. */
export async function headersOf(config: S3Config, disk: Disk): Promise<ObjectHeaders> {
  // To AWS the SDK sends a CRC, which does the same.
  const sendMd5 = config.send_content_md5 && !isAws(config);
  return {
    stored: { ...metadataOf(config), ...encryptionOf(config) },
    customerKey: await customerKeyOf(config, disk),
    checksum: (bytes) =>
      sendMd5 ? { ContentMD5: createHash('md5').update(bytes).digest('base64') } : {},
  };
}

export function conditionHeaders({ ifAbsent, ifMatch }: Condition) {
  if (ifAbsent === true) return { IfNoneMatch: '*' };
  return ifMatch === undefined ? {} : { IfMatch: ifMatch };
}

/** The storage class is written among the metadata in Thanos. */
function metadataOf({ put_user_metadata: metadata }: S3Config) {
  const isClass = ([key]: readonly [string, string]) => key.toLowerCase() === 'x-amz-storage-class';
  const entries = Object.entries(metadata);
  const storageClass = entries.find(isClass)?.[1];
  const rest = entries.filter((entry) => !isClass(entry));
  return {
    ...(rest.length === 0 ? {} : { Metadata: Object.fromEntries(rest) }),
    ...(storageClass === undefined ? {} : { StorageClass: storageClass as Sdk.StorageClass }),
  };
}

function encryptionOf({ sse_config: sse }: S3Config) {
  switch (sse.type) {
    case '':
    case 'SSE-C':
      return {};
    case 'SSE-S3':
      return { ServerSideEncryption: 'AES256' } as const;
    case 'SSE-KMS': {
      const context = JSON.stringify(sse.kms_encryption_context);
      return {
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: sse.kms_key_id,
        SSEKMSEncryptionContext: Buffer.from(context).toString('base64'),
      } as const;
    }
  }
}

async function customerKeyOf({ sse_config: sse }: S3Config, disk: Disk) {
  if (sse.type !== 'SSE-C') return {};
  const key = await readConfiguredFile(disk, 'sse_config.encryption_key', sse.encryption_key);
  const SSECustomerKey = Buffer.from(key).toString('base64');
  return { SSECustomerAlgorithm: 'AES256', SSECustomerKey };
}
