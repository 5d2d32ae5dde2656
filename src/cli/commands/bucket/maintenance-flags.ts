import { flag } from '../../flags.ts';
import type { FlagTable, FlagValues } from '../../flags.ts';
import { atLeastOne, delayFlags } from '../compact-flags.ts';
import { selectorOf } from '../shared.ts';
import { selectorFlags } from './bucket-tool.ts';

/** Flags of the tools that go over a bucket as a compactor does. */
export const maintenanceFlags = {
  ...selectorFlags,
  ...delayFlags,
  'block-sync-concurrency': flag.integer({
    help: 'Blocks that are looked at at once.',
    default: '20',
  }),
} satisfies FlagTable;

export function maintenanceOf(values: FlagValues<typeof maintenanceFlags>) {
  const selector = selectorOf(values);
  return {
    deleteDelayMs: values['delete-delay'],
    consistencyDelayMs: values['consistency-delay'],
    concurrency: atLeastOne(values, 'block-sync-concurrency'),
    ...(selector === undefined ? {} : { selector }),
  };
}
