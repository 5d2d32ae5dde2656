import { LocalBlockWork } from '#/compact/block-work.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { serveRequests } from '#/lib/worker-pool.ts';
import { writeFraction } from './threaded-block-work.ts';
import type { BlockAnswer, BlockRequest } from './threaded-block-work.ts';

const work = new LocalBlockWork(nodeDisk);
/** Whoever wants the work to end ends the thread. */
const never = new AbortController().signal;

serveRequests(async (request: BlockRequest): Promise<BlockAnswer> => {
  const onFraction = (fraction: number) => writeFraction(request.done, fraction);
  try {
    switch (request.kind) {
      case 'merge':
        return { kind: 'merged', result: await work.merge(request.work, never, onFraction) };
      case 'downsample':
        return {
          kind: 'downsampled',
          meta: await work.downsample(request.work, never, onFraction),
        };
      case 'rewrite':
        return { kind: 'rewritten', result: await work.rewrite(request.work, never, onFraction) };
    }
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    return { kind: 'damaged', message: thrown.message };
  }
});
