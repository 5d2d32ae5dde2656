/** What an operation is for. Requests and bytes are counted by it. */
export const REASONS = [
  /** Which blocks there are: listings, `meta.json`, marks. */
  'sync',
  'header',
  'postings',
  'series',
  'chunks',
  'upload',
  'compaction',
  'deletion',
  'tools',
  'other',
] as const;
export type Reason = (typeof REASONS)[number];
