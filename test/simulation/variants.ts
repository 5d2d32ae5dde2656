import { LocalBlockWork } from '#/compact/block-work.ts';
import type { BlockWork } from '#/compact/block-work.ts';
import { soleCompactor } from '#/compact/lease.ts';
import type { Leases } from '#/compact/lease.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { Disk } from '#/lib/disk.ts';
import type { Bucket, UploadOptions } from '#/objstore/bucket.ts';
import { allTime, plainDeletion } from '#/tsdb/series-deletion.ts';
import type { Store } from '#/storeapi/store.ts';

/** A way to do things wrong. What is absent is done as it should be. */
export interface Variant {
  readonly what: string;
  /** The object storage as uploaders see it. */
  readonly sidecarBucket?: (bucket: Bucket) => Bucket;
  readonly compactorBucket?: (bucket: Bucket) => Bucket;
  readonly leases?: Leases;
  readonly work?: (disk: Disk) => BlockWork;
  readonly gateway?: (store: Store) => Store;
}

/** Each must be found; what is right must not. */
export const variants = {
  none: { what: 'everything is done as it should be' },
  'delete-first': {
    what: 'sources are deleted when the upload of their successor begins',
    compactorBucket: deletingFirst,
  },
  'skip-lease': {
    what: 'every compactor grants itself every lease',
    leases: soleCompactor,
  },
  'meta-first': {
    what: 'meta.json is uploaded before the files that it names',
    sidecarBucket: metaFirst,
    compactorBucket: metaFirst,
  },
  'no-delay': {
    what: 'a block is deleted at once instead of marked',
    compactorBucket: deletingAtOnce,
  },
  'forget-input': {
    what: 'a merge leaves out the last of its inputs, and says otherwise',
    work: forgetful,
  },
  'lossy-rewrite': {
    what: 'a block that is rewritten loses a series that nobody wanted to go',
    work: lossyRewrite,
  },
  'silent-loss': {
    what: 'a store gateway tells nobody what it could not read',
    gateway: silent,
  },
} as const satisfies Record<string, Variant>;

export type VariantName = keyof typeof variants;

/** `bucket` with another way to change it; all else goes through. */
function changing(
  bucket: Bucket,
  over: Partial<Pick<Bucket, 'upload' | 'attributes' | 'readStream'>>,
): Bucket {
  return {
    name: bucket.name,
    list: (prefix, options) => bucket.list(prefix, options),
    read: (name, options) => bucket.read(name, options),
    readStream: (name, options) => bucket.readStream(name, options),
    attributes: (name, options) => bucket.attributes(name, options),
    upload: (name, content, options) => bucket.upload(name, content, options),
    remove: (name, options) => bucket.remove(name, options),
    [Symbol.asyncDispose]: () => bucket[Symbol.asyncDispose](),
    ...over,
  };
}

async function removeBlock(bucket: Bucket, id: string, signal: UploadOptions['signal']) {
  await bucket.remove(`${id}/meta.json`, { signal });
  for await (const { name } of bucket.list(`${id}/`, { recursive: true, signal })) {
    await bucket.remove(name, { signal });
  }
}

/** Whatever block was read since the last upload counts as a source of the next. */
function deletingFirst(bucket: Bucket): Bucket {
  const sources = new Set<string>();
  return changing(bucket, {
    readStream(name, options) {
      if (name.endsWith('/index')) sources.add(name.slice(0, 26));
      return bucket.readStream(name, options);
    },
    async upload(name, content, options = {}) {
      if (name.endsWith('/index')) {
        for (const id of sources) await removeBlock(bucket, id, options.signal);
        sources.clear();
      }
      await bucket.upload(name, content, options);
    },
  });
}

function metaFirst(bucket: Bucket): Bucket {
  const held = new Map<string, Uint8Array>();
  return changing(bucket, {
    attributes(name, options) {
      const bytes = held.get(name);
      if (bytes === undefined) return bucket.attributes(name, options);
      return Promise.resolve({ sizeBytes: bytes.length, modifiedMs: 0, version: '' });
    },
    async upload(name, content, options = {}) {
      const isBlockFile = /^\w{26}\/(index|chunks\/\d+)$/.test(name);
      if (isBlockFile && content instanceof Uint8Array) {
        held.set(name, content.slice());
        return;
      }
      await bucket.upload(name, content, options);
      if (!name.endsWith('/meta.json')) return;
      for (const [file, bytes] of held) {
        if (!file.startsWith(name.slice(0, 27))) continue;
        await bucket.upload(file, bytes, options);
        held.delete(file);
      }
    },
  });
}

function deletingAtOnce(bucket: Bucket): Bucket {
  return changing(bucket, {
    async upload(name, content, options = {}) {
      await bucket.upload(name, content, options);
      if (name.endsWith('/deletion-mark.json')) {
        await removeBlock(bucket, name.slice(0, 26), options.signal);
      }
    },
  });
}

function forgetful(disk: Disk): BlockWork {
  const work = new LocalBlockWork(disk);
  return {
    async merge(merge, signal, onFraction) {
      const inputs = merge.inputs.slice(0, -1);
      const result = await work.merge({ ...merge, inputs }, signal, onFraction);
      return { ...result, samplesRead: Number.MAX_SAFE_INTEGER };
    },
    downsample: (downsample, signal, onFraction) => work.downsample(downsample, signal, onFraction),
    rewrite: (rewrite, signal, onFraction) => work.rewrite(rewrite, signal, onFraction),
  };
}

function lossyRewrite(disk: Disk): BlockWork {
  const work = new LocalBlockWork(disk);
  const matchers = [newMatcher('=', '__name__', 'own_level')];
  const more = plainDeletion({ matchers, intervals: [allTime] });
  return {
    merge: (merge, signal, onFraction) => work.merge(merge, signal, onFraction),
    downsample: (downsample, signal, onFraction) => work.downsample(downsample, signal, onFraction),
    rewrite({ edits, ...rewrite }, signal, onFraction) {
      const deletions = [...edits.deletions, more];
      return work.rewrite({ ...rewrite, edits: { ...edits, deletions } }, signal, onFraction);
    },
  };
}

function silent(store: Store): Store {
  return {
    info: () => store.info(),
    async *series(request, context) {
      for await (const batch of store.series(request, context)) yield { ...batch, warnings: [] };
    },
    labelNames: (request, context) => store.labelNames(request, context),
    labelValues: (request, context) => store.labelValues(request, context),
  };
}
