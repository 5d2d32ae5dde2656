import { resolve } from 'node:path';
import { uploadBlocks } from '#/components/tools-bucket.ts';
import { flag } from '../../flags.ts';
import { parseLabelFlags } from '../label-flags.ts';
import { bucketToolCommand } from './bucket-tool.ts';

export const bucketUploadBlocksCommand = bucketToolCommand(
  {
    name: 'upload-blocks',
    summary: 'Uploads the blocks of a directory.',
    flags: {
      path: flag.text({ help: 'The directory with the blocks.', default: './data' }),
      label: flag.list({
        help: 'An external label that the blocks get: name="value".',
        placeholder: 'LABEL',
      }),
      'shipper.upload-compacted': flag.toggle({
        help: 'Upload compacted blocks too.',
        default: false,
      }),
      'shipper.upload-concurrency': flag.integer({
        help: 'Files of a block to upload at once.',
        default: '5',
      }),
    },
  },
  (values, tool) =>
    uploadBlocks(
      {
        path: resolve(values.path),
        labels: parseLabelFlags('--label', values.label),
        uploadCompacted: values['shipper.upload-compacted'],
        concurrency: Math.max(1, values['shipper.upload-concurrency']),
      },
      tool,
    ),
);
