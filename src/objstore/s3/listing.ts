import type * as Sdk from '@aws-sdk/client-s3';
import type { ListEntry } from '../bucket.ts';
import type { SdkModule } from './client.ts';

interface Listing {
  readonly bucket: string;
  readonly prefix: string;
  readonly recursive: boolean;
  /** Of the list operation; some servers know only the first. */
  readonly version: 1 | 2;
  readonly send: <Output>(
    request: (client: Sdk.S3Client, options: { abortSignal: AbortSignal }) => Promise<Output>,
  ) => Promise<Output>;
}

/**
 * Pages of a listing, each with its objects and then its directories. Names come percent-encoded,
 * because XML cannot carry every character; a server that does not encode says so.
 */
export async function* listPages(sdk: SdkModule, listing: Listing): AsyncGenerator<ListEntry[]> {
  const { bucket, prefix, recursive, version } = listing;
  const request = {
    Bucket: bucket,
    Prefix: prefix,
    EncodingType: 'url',
    ...(recursive ? {} : { Delimiter: '/' }),
  } as const;
  for (let token: string | undefined; ;) {
    const output: Sdk.ListObjectsCommandOutput | Sdk.ListObjectsV2CommandOutput =
      version === 1
        ? await sendFirst(sdk, listing, { ...request, ...(token && { Marker: token }) })
        : await sendSecond(sdk, listing, {
            ...request,
            ...(token && { ContinuationToken: token }),
          });
    const decode = output.EncodingType === 'url' ? decodeName : (name: string) => name;
    const objects = (output.Contents ?? []).map((object) => entryOf(object, decode));
    const directories = (output.CommonPrefixes ?? []).map((common) => ({
      name: decode(common.Prefix ?? ''),
    }));
    const page = [...objects, ...directories].filter(
      ({ name }) => name !== '' && name !== prefix && name.startsWith(prefix),
    );
    yield page;
    if (output.IsTruncated !== true) return;
    // Without a delimiter, version 1 leaves it to the caller to take the last name.
    const next: { NextMarker?: string | undefined; NextContinuationToken?: string | undefined } =
      output;
    const marker = next.NextMarker === undefined ? objects.at(-1)?.name : decode(next.NextMarker);
    token = version === 1 ? marker : next.NextContinuationToken;
    if (token === undefined) return;
  }
}

function sendFirst(sdk: SdkModule, { send }: Listing, input: Sdk.ListObjectsCommandInput) {
  const command = new sdk.ListObjectsCommand(input);
  return send((client, options) => client.send(command, options));
}

function sendSecond(sdk: SdkModule, { send }: Listing, input: Sdk.ListObjectsV2CommandInput) {
  const command = new sdk.ListObjectsV2Command(input);
  return send((client, options) => client.send(command, options));
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
