import { retainBlocks } from '#/components/tools-bucket.ts';
import { flag } from '../../flags.ts';
import {
  downsampleAgeFlags,
  downsampleAgesOf,
  retentionFlags,
  retentionRulesFlags,
  retentionRulesOf,
  retentionsOf,
} from '../compact-flags.ts';
import { bucketToolCommand } from './bucket-tool.ts';
import { maintenanceFlags, maintenanceOf } from './maintenance-flags.ts';

export const bucketRetentionCommand = bucketToolCommand(
  {
    name: 'retention',
    summary: 'Marks the blocks whose retention is over for deletion.',
    flags: {
      ...maintenanceFlags,
      ...retentionFlags,
      ...retentionRulesFlags,
      'downsampling.disable': flag.toggle({
        help: 'Nobody downsamples the bucket: hold back no block that is still to be downsampled.',
        default: false,
      }),
      ...downsampleAgeFlags,
      'dry-run': flag.toggle({ help: 'Only print what would be done.', default: false }),
    },
  },
  (values, tool) => {
    // A block that is not downsampled yet is held back, so that no retention is too short.
    const retentions = retentionsOf(values, undefined);
    return retainBlocks(
      {
        ...maintenanceOf(values),
        retentions,
        rules: retentionRulesOf(values, retentions),
        downsampleAges: values['downsampling.disable'] ? undefined : downsampleAgesOf(values),
        dryRun: values['dry-run'],
      },
      tool,
    );
  },
);
