import { cleanBucket } from '#/components/tools-bucket.ts';
import { bucketToolCommand } from './bucket-tool.ts';
import { maintenanceFlags, maintenanceOf } from './maintenance-flags.ts';

export const bucketCleanupCommand = bucketToolCommand(
  {
    name: 'cleanup',
    summary: 'Deletes blocks that were marked long enough ago, and uploads that were given up.',
    flags: maintenanceFlags,
  },
  (values, tool) => cleanBucket(maintenanceOf(values), tool),
);
