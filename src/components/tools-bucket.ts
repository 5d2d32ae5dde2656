/** What `hindsight tools bucket …` does, one function a command; each gives the exit code. */
export type { BucketTool } from './tools/bucket-tool.ts';
export { listBlocks } from './tools/bucket-ls.ts';
export type { ListBlocksConfig } from './tools/bucket-ls.ts';
export { inspectBlocks, inspectColumns } from './tools/bucket-inspect.ts';
export type { InspectConfig } from './tools/bucket-inspect.ts';
export { tableFormats } from './tools/print-table.ts';
export { replicateBlocks } from './tools/bucket-replicate.ts';
export type { ReplicateConfig } from './tools/bucket-replicate.ts';
export { uploadBlocks } from './tools/bucket-upload.ts';
export type { UploadBlocksConfig } from './tools/bucket-upload.ts';
export { barProgress, plainProgress } from './tools/progress.ts';
export { issueKinds, verifyBlocks } from './tools/bucket-verify.ts';
export type { VerifyConfig } from './tools/bucket-verify.ts';
export { markBlocks, markKinds } from './tools/bucket-mark.ts';
export type { MarkConfig } from './tools/bucket-mark.ts';
export { analyzeBlocks } from './tools/bucket-analyze.ts';
export type { AnalyzeConfig } from './tools/bucket-analyze.ts';
