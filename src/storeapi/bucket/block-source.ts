import type { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { IndexHeader } from '#/tsdb/index-header.ts';
import type { IndexCache } from '../index-cache.ts';
import type { HeaderWanted } from './header-cache.ts';

/** Where one block's bytes come from. */
export interface BlockSource {
  readonly meta: BlockMeta;
  /** The block's external labels. */
  readonly labels: Labels;
  readonly bucket: Bucket;
  readonly indexCache: IndexCache;
  /** Opened on first use, built from the bucket if it is not on the disk. */
  readonly header: (wanted: HeaderWanted) => Promise<IndexHeader>;
}
