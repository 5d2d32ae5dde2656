import { UnavailableError } from '#/lib/errors.ts';
import { startProcess } from '../child-process.ts';

/** What the demo's bucket can lie on. */
export const BUCKETS = ['filesystem', 's3', 'gcs', 'azure'] as const;
export type BucketKind = (typeof BUCKETS)[number];

/** What a process needs to find a bucket. */
export interface BucketAccess {
  /** YAML for `--objstore.config`. */
  readonly objstore: string;
  /** Variables that its process must have besides. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface BucketServer extends AsyncDisposable {
  readonly access: BucketAccess;
}

const START_MS = 60_000;

/**
 * Starts the program that serves one protocol and says, in a line of JSON, how to reach its bucket.
 * @throws UnavailableError with what it wrote if it does not start.
 */
export async function startBucketServer(program: string, kind: BucketKind): Promise<BucketServer> {
  const child = await startProcess({ command: process.execPath, args: [program, kind] });
  const deadline = performance.now() + START_MS;
  for (;;) {
    const line = child.output.split('\n').find((text) => text.startsWith('{'));
    if (line !== undefined) {
      const access = JSON.parse(line) as BucketAccess;
      return { access, [Symbol.asyncDispose]: () => child.stop() };
    }
    if (!child.isRunning || performance.now() > deadline) {
      await child.stop();
      const written = child.output.trim();
      throw new UnavailableError(`--bucket=${kind}: its server does not start: ${written}`);
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
}
