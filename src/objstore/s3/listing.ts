import type * as Sdk from '@aws-sdk/client-s3';
import type { ListEntry } from '../bucket.ts';
import type { Page, PageRequest } from '../remote/service.ts';
import type { SdkModule } from './client.ts';

interface Listing extends PageRequest {
  readonly sdk: SdkModule;
  readonly client: Sdk.S3Client;
  readonly bucket: string;
  /** Of the list operation; some servers know only the first. */
  readonly version: 1 | 2;
}

/**
 * One page of a listing. Names come percent-encoded, because XML cannot carry every character; a
 * server that does not encode says so.
 */
export async function listPage(listing: Listing, abortSignal: AbortSignal): Promise<Page> {
  const { sdk, client, bucket, prefix, recursive, token, version } = listing;
  const input = {
    Bucket: bucket,
    Prefix: prefix,
    EncodingType: 'url',
    ...(recursive ? {} : { Delimiter: '/' }),
  } as const;
  if (version === 1) {
    const command = new sdk.ListObjectsCommand({ ...input, ...(token && { Marker: token }) });
    const output = await client.send(command, { abortSignal });
    const entries = entriesOf(output, prefix);
    // Without a delimiter it is left to the caller to take the last name.
    const marker = output.NextMarker;
    const last = marker === undefined ? lastName(output) : decoder(output)(marker);
    return { entries, next: output.IsTruncated === true ? last : undefined };
  }
  const command = new sdk.ListObjectsV2Command({
    ...input,
    ...(token && { ContinuationToken: token }),
  });
  const output = await client.send(command, { abortSignal });
  const next = output.IsTruncated === true ? output.NextContinuationToken : undefined;
  return { entries: entriesOf(output, prefix), next };
}

type Output = Sdk.ListObjectsCommandOutput | Sdk.ListObjectsV2CommandOutput;

function entriesOf(output: Output, prefix: string): ListEntry[] {
  const decode = decoder(output);
  const objects = (output.Contents ?? []).map((object) => entryOf(object, decode));
  const directories = (output.CommonPrefixes ?? []).map((common) => ({
    name: decode(common.Prefix ?? ''),
  }));
  return [...objects, ...directories].filter(({ name }) => name !== '' && name.startsWith(prefix));
}

function lastName(output: Output): string | undefined {
  const key = output.Contents?.at(-1)?.Key;
  return key === undefined ? undefined : decoder(output)(key);
}

function decoder({ EncodingType }: Output): (name: string) => string {
  return EncodingType === 'url' ? decodeName : (name) => name;
}

function entryOf(object: Sdk._Object, decode: (name: string) => string): ListEntry {
  return {
    name: decode(object.Key ?? ''),
    ...(object.Size === undefined ? {} : { sizeBytes: object.Size }),
    ...(object.LastModified === undefined ? {} : { modifiedMs: object.LastModified.getTime() }),
  };
}

function decodeName(encoded: string): string {
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '));
  } catch {
    return encoded;
  }
}
