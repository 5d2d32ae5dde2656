import type { Command } from './command.ts';
import { allCommand } from './commands/all.ts';
import { bucketAnalyzeCommand } from './commands/bucket/analyze.ts';
import { bucketCleanupCommand } from './commands/bucket/cleanup.ts';
import { bucketDownsampleCommand } from './commands/bucket/downsample.ts';
import { bucketImportCommand } from './commands/bucket/import.ts';
import { bucketInspectCommand } from './commands/bucket/inspect.ts';
import { bucketLsCommand } from './commands/bucket/ls.ts';
import { bucketWebCommand } from './commands/bucket/web.ts';
import { bucketMarkCommand } from './commands/bucket/mark.ts';
import { bucketReplicateCommand } from './commands/bucket/replicate.ts';
import { bucketDeleteSeriesCommand } from './commands/bucket/delete-series.ts';
import { bucketRetentionCommand } from './commands/bucket/retention.ts';
import { bucketRewriteCommand } from './commands/bucket/rewrite.ts';
import { bucketUploadBlocksCommand } from './commands/bucket/upload-blocks.ts';
import { bucketVerifyCommand } from './commands/bucket/verify.ts';
import { compactCommand } from './commands/compact.ts';
import { demoCommand } from './commands/demo.ts';
import { queryCommand } from './commands/query.ts';
import { sidecarCommand } from './commands/sidecar.ts';
import { storeCommand } from './commands/store.ts';
import { toolsCommand } from './commands/tools.ts';

/** Every subcommand, in the order of the overview. */
export const commands: readonly Command[] = [
  sidecarCommand,
  storeCommand,
  compactCommand,
  queryCommand,
  allCommand,
  toolsCommand,
  bucketLsCommand,
  bucketInspectCommand,
  bucketReplicateCommand,
  bucketUploadBlocksCommand,
  bucketVerifyCommand,
  bucketMarkCommand,
  bucketCleanupCommand,
  bucketRetentionCommand,
  bucketDeleteSeriesCommand,
  bucketDownsampleCommand,
  bucketWebCommand,
  bucketAnalyzeCommand,
  bucketImportCommand,
  bucketRewriteCommand,
  demoCommand,
];
