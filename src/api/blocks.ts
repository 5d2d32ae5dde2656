import { blockExists } from '#/blocks/block-files.ts';
import { markBlock } from '#/blocks/markers.ts';
import type { MarkKind } from '#/blocks/markers.ts';
import type { BlocksSeen } from '#/blocks/seen-blocks.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import type { Clock } from '#/lib/clock.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { isUlid, looksLikeUlid } from '#/lib/ulid.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { blockMetaJson, ZERO_TIME } from '#/tsdb/block-meta.ts';
import type { Log } from '#/telemetry/logger.ts';
import { apiRoute, JsonText } from './envelope.ts';

/** `global` is the whole bucket, `loaded` what the component works with. */
export type BlocksViewName = 'global' | 'loaded';

export interface BlocksApi {
  /** The name of the external label that viewers tell streams apart by; `''` for all labels. */
  readonly label: string;
  seen(view: BlocksViewName): Promise<BlocksSeen>;
  /** Whether blocks may be marked. */
  readonly adminOperations: boolean;
  readonly bucket: Bucket;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}

/** The API of Thanos's block viewer. Source of its forms: pkg/api/blocks/v1.go in Thanos. */
export function blocksRoutes(api: BlocksApi): Route[] {
  return [
    apiRoute(['GET'], '/blocks', 'blocks', async ({ params }) => {
      const view = params.text('view') === 'loaded' ? 'loaded' : 'global';
      return { data: new JsonText(blocksJson(api.label, await api.seen(view))) };
    }),
    apiRoute(['POST'], '/blocks/mark', 'blocks_mark', async (request) => {
      await mark(api, request);
      return { data: undefined };
    }),
  ];
}

function* blocksJson(
  label: string,
  { blocks, refreshedAtMs, error }: BlocksSeen,
): Generator<string, void> {
  yield `{"label":${JSON.stringify(label)},"blocks":[`;
  for (const [i, { meta }] of blocks.entries()) {
    yield `${i === 0 ? '' : ','}${JSON.stringify(blockMetaJson(meta))}`;
  }
  const refreshedAt = refreshedAtMs === undefined ? ZERO_TIME : new Date(refreshedAtMs).toJSON();
  const err = error === undefined ? null : { message: error };
  yield `],"refreshedAt":"${refreshedAt}","err":${JSON.stringify(err)}}`;
}

const ACTIONS: Readonly<Record<string, MarkKind>> = {
  DELETION: 'deletion',
  NO_COMPACTION: 'no-compact',
};

/** A block that is marked already stays as it is, which is no failure. */
async function mark(api: BlocksApi, { params, signal }: HttpRequest): Promise<void> {
  if (!api.adminOperations) throw new BadInputError('Admin operations are disabled');
  const id = params.text('id');
  const action = params.text('action');
  if (id === '') throw new BadInputError('ID cannot be empty');
  if (action === '') throw new BadInputError('Action cannot be empty');
  if (!isUlid(id)) {
    const what = looksLikeUlid(id) ? 'characters' : 'size';
    throw new BadInputError(
      `ULID ${JSON.stringify(id)} is not valid: ulid: bad data ${what} when unmarshaling`,
    );
  }
  const kind = ACTIONS[action];
  if (kind === undefined) throw new BadInputError(`not supported marker ${action}`);
  const { bucket, clock, log } = api;
  const details = params.text('detail');
  let marked: boolean;
  try {
    if (!(await blockExists(bucket, id, signal))) {
      throw new BadInputError(`there is no block ${id} in the bucket`);
    }
    marked = await markBlock(bucket, id, { kind, details, clock, signal });
  } catch (thrown) {
    throw new BadInputError(messageOf(thrown), { cause: thrown });
  }
  if (marked) log.info('block marked through the API', { block: id, marker: kind, details });
  else log.warn('block has this mark already; it stays as it is', { block: id, marker: kind });
}
