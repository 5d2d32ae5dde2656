import { resolve } from 'node:path';
import { parseDeletions, rewriteBlocks } from '#/components/tools-bucket.ts';
import { parseRelabelRules } from '#/config/relabel.ts';
import { BadInputError } from '#/lib/errors.ts';
import { relabelActions } from '#/model/relabel.ts';
import { readConfig } from '../../config-text.ts';
import type { ConfigText } from '../../config-text.ts';
import { configFlags, configSource, flag } from '../../flags.ts';
import type { ConfigSource } from '../../flags.ts';
import { bucketToolCommand, parseIds } from './bucket-tool.ts';

export const bucketRewriteCommand = bucketToolCommand(
  {
    name: 'rewrite',
    summary: 'Deletes and relabels series in blocks.',
    flags: {
      id: flag.list({ help: 'A block to rewrite.', placeholder: 'ULID' }),
      'tmp.dir': flag.text({
        help: 'Where blocks are worked on, and change logs stay. Needs room for a block twice.',
        default: '/tmp/thanos-rewrite',
      }),
      'dry-run': flag.toggle({
        help: 'Only print what would change; --no-dry-run to do it.',
        default: true,
      }),
      'prom-blocks': flag.toggle({
        help: 'The blocks are of plain Prometheus: they have no external labels.',
        default: false,
      }),
      'delete-blocks': flag.toggle({
        help: 'Let the new blocks take the place of the old ones, which are marked for deletion; else both stay.',
        default: false,
      }),
      'hash-func': flag.oneOf(['', 'SHA256'], {
        help: 'Hash of every file to write into meta.json.',
        default: '',
      }),
      ...configFlags('rewrite.to-delete-config', {
        help: 'What to delete: a list of matchers (a selector), intervals (mint and maxt in milliseconds; none for all time) and request_id.',
      }),
      ...configFlags('rewrite.to-relabel-config', {
        help: 'How to relabel the series, before they are deleted.',
      }),
      'rewrite.add-change-log': flag.toggle({
        help: 'Write what changes into change.log in the directory of the new block.',
        default: true,
      }),
    },
  },
  (values, tool) => {
    const ids = parseIds(values.id);
    if (ids.length === 0) throw new BadInputError('--id is required: which blocks to rewrite?');
    const toDelete = textOf(
      values['rewrite.to-delete-config'],
      values['rewrite.to-delete-config-file'],
    );
    const toRelabel = textOf(
      values['rewrite.to-relabel-config'],
      values['rewrite.to-relabel-config-file'],
    );
    if (toDelete === undefined && toRelabel === undefined) {
      throw new BadInputError(
        'rewrite configuration should be provided: --rewrite.to-delete-config or --rewrite.to-relabel-config',
      );
    }
    return rewriteBlocks(
      {
        ids,
        temporaryDirectory: resolve(values['tmp.dir']),
        dryRun: values['dry-run'],
        promBlocks: values['prom-blocks'],
        deleteBlocks: values['delete-blocks'],
        hashFunction: values['hash-func'],
        deletions: toDelete === undefined ? [] : parseDeletions(toDelete.source, toDelete.text),
        relabeling:
          toRelabel === undefined
            ? []
            : parseRelabelRules(toRelabel.source, toRelabel.text, relabelActions),
        addChangeLog: values['rewrite.add-change-log'],
      },
      tool,
    );
  },
);

function textOf(
  inPlace: ConfigSource | undefined,
  file: ConfigSource | undefined,
): ConfigText | undefined {
  const source = configSource(inPlace, file);
  return source === undefined ? undefined : readConfig(source, 'expand');
}
