import { LocalBlockWork } from '#/compact/block-work.ts';
import { ThreadedBlockWork } from '#/components/threaded-block-work.ts';
import { downsampleBucket } from '#/components/tools-bucket.ts';
import { httpFlags, plannedServerFlags } from '../../common-flags.ts';
import { flag } from '../../flags.ts';
import {
  atLeastOne,
  downsampleAgeFlags,
  downsampleAgesOf,
  leaseFlags,
  leasesOf,
} from '../compact-flags.ts';
import { httpOf } from '../shared.ts';
import { bucketToolCommand } from './bucket-tool.ts';

export const bucketDownsampleCommand = bucketToolCommand(
  {
    name: 'downsample',
    summary: 'Downsamples the blocks of a bucket that are large enough, again and again or once.',
    flags: {
      ...httpFlags,
      'wait-interval': flag.duration({
        help: 'How often to look for blocks to downsample.',
        default: '5m',
      }),
      'single-run': flag.toggle({
        help: 'End when everything is downsampled.',
        default: false,
      }),
      'downsample.concurrency': flag.integer({
        help: 'Blocks that are downsampled at once.',
        default: '1',
      }),
      'block-files-concurrency': flag.integer({
        help: 'Files of a block that are transferred at once.',
        default: '1',
      }),
      'data-dir': flag.text({
        help: 'Where blocks are worked on. A block needs room twice.',
        default: './data',
      }),
      ...downsampleAgeFlags,
      ...leaseFlags,
      'hash-func': flag.oneOf(['', 'SHA256'], {
        help: 'Hash of every file to write into meta.json.',
        default: '',
      }),
    },
    planned: plannedServerFlags,
  },
  async (values, tool) => {
    await using work = new ThreadedBlockWork(tool.disk, new LocalBlockWork(tool.disk));
    return downsampleBucket(
      {
        http: httpOf(values),
        dataDirectory: values['data-dir'],
        ages: downsampleAgesOf(values),
        concurrency: atLeastOne(values, 'downsample.concurrency'),
        fileConcurrency: atLeastOne(values, 'block-files-concurrency'),
        hashFunction: values['hash-func'],
        leases: leasesOf(values),
        waitIntervalMs: values['wait-interval'],
        singleRun: values['single-run'],
      },
      tool,
      work,
    );
  },
);
