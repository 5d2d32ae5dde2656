/** What `hindsight tools bucket …` does, one function a command; each gives the exit code. */
export type { BucketTool } from './tools/bucket-tool.ts';
export { listBlocks } from './tools/bucket-ls.ts';
export type { ListBlocksConfig } from './tools/bucket-ls.ts';
export { inspectBlocks, inspectColumns } from './tools/bucket-inspect.ts';
export type { InspectConfig } from './tools/bucket-inspect.ts';
export { tableFormats } from './tools/print-table.ts';
