import { constants, gunzipSync, gzipSync } from 'node:zlib';
import { LimitError, messageOf } from '#/lib/errors.ts';
import { Status, StatusError } from '../status.ts';
import { compressFramed, uncompressFramed } from './snappy-framed.ts';

/** How the bytes of one message are packed. Names are the values of `grpc-encoding`. */
export interface Compression {
  readonly name: string;
  compress(plain: Uint8Array): Uint8Array;
  /** @throws LimitError if the message holds more than `limitBytes`. */
  decompress(packed: Uint8Array, limitBytes: number): Uint8Array;
}

const gzip: Compression = {
  name: 'gzip',
  compress: (plain) => gzipSync(plain, { level: constants.Z_BEST_SPEED }),
  decompress(packed, limitBytes) {
    try {
      return gunzipSync(packed, { maxOutputLength: limitBytes });
    } catch (cause) {
      if (cause instanceof RangeError) {
        throw new LimitError(`message is larger than ${limitBytes} bytes when decompressed`);
      }
      throw new StatusError(Status.Internal, `gzip message: ${messageOf(cause)}`, { cause });
    }
  },
};

const snappy: Compression = {
  name: 'snappy',
  compress: compressFramed,
  decompress(packed, limitBytes) {
    try {
      return uncompressFramed(packed, limitBytes);
    } catch (cause) {
      if (cause instanceof LimitError) throw cause;
      throw new StatusError(Status.Internal, messageOf(cause), { cause });
    }
  },
};

const compressions = new Map([gzip, snappy].map((one) => [one.name, one]));

/** The value of `grpc-accept-encoding`. */
export const acceptEncoding = [...compressions.keys()].join(',');

/**
 * The packing that a `grpc-encoding` header names; `undefined` for plain.
 * @throws StatusError `Unimplemented` for a name that nobody here knows.
 */
export function compressionOf(name: string | undefined): Compression | undefined {
  if (name === undefined || name === 'identity' || name === '') return undefined;
  const known = compressions.get(name);
  if (known !== undefined) return known;
  throw new StatusError(
    Status.Unimplemented,
    `grpc: Decompressor is not installed for grpc-encoding "${name}"`,
  );
}
