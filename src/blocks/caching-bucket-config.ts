import * as v from 'valibot';
import { parseCacheConfig } from '#/cache/config.ts';
import type { CacheBackend } from '#/cache/config.ts';
import { byteSize, goDuration, wholeNumber } from '#/config/schema.ts';
import type { CachingSettings } from './caching-bucket.ts';

export interface CachingBucketConfig {
  readonly backend: CacheBackend;
  readonly settings: CachingSettings;
}

/**
 * Reads the YAML of `--store.caching-bucket.config`, with Thanos's keys.
 * @throws BadInputError naming the place.
 */
export function parseCachingBucketConfig(source: string, yaml: string): CachingBucketConfig {
  const { settings, backend } = parseCacheConfig(source, yaml, {
    chunk_subrange_size: v.optional(wholeNumber(1), 16_000),
    max_chunks_get_range_requests: v.optional(v.pipe(v.number(), v.integer()), 3),
    metafile_max_size: v.optional(byteSize(), 1024 * 1024),
    chunk_object_attrs_ttl: v.optional(goDuration(), '24h'),
    chunk_subrange_ttl: v.optional(goDuration(), '24h'),
    blocks_iter_ttl: v.optional(goDuration(), '5m'),
    metafile_exists_ttl: v.optional(goDuration(), '2h'),
    metafile_doesnt_exist_ttl: v.optional(goDuration(), '15m'),
    metafile_content_ttl: v.optional(goDuration(), '24h'),
  });
  return {
    backend,
    settings: {
      subrangeBytes: settings.chunk_subrange_size,
      maxRangeRequests: Math.max(0, settings.max_chunks_get_range_requests),
      maxMetafileBytes: settings.metafile_max_size,
      chunkAttributesTtlMs: settings.chunk_object_attrs_ttl,
      subrangeTtlMs: settings.chunk_subrange_ttl,
      listingTtlMs: settings.blocks_iter_ttl,
      existsTtlMs: settings.metafile_exists_ttl,
      missingTtlMs: settings.metafile_doesnt_exist_ttl,
      contentTtlMs: settings.metafile_content_ttl,
    },
  };
}
