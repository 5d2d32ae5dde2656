import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { startProcess } from '#/components/child-process.ts';
import { eventually, freePort, temporaryDirectory } from './servers.ts';

const program = resolve(
  import.meta.dirname,
  '../emulators/node_modules/azurite/dist/src/blob/main.js',
);

/** Azure's own emulator of its blob storage, with all data in memory. */
export interface Azurite extends AsyncDisposable {
  /** `http://host:port`, without the account. */
  readonly url: string;
  readonly account: string;
  /** Base64, as Azure's keys are. */
  readonly key: string;
}

/** Whether `startAzurite` can work here: `sh bin/setup --servers` installs it. */
export function hasAzurite(): boolean {
  return existsSync(program);
}

/** Starts the emulator with an account of its own; takes about 2 s. */
export async function startAzurite(): Promise<Azurite> {
  await using opened = new AsyncDisposableStack();
  const directory = opened.use(await temporaryDirectory()).path;
  const port = await freePort();
  const account = 'hindsight';
  const key = Buffer.from('a key of the tests').toString('base64');
  const options = ['--inMemoryPersistence', '--disableTelemetry', '--skipApiVersionCheck'];
  const address = ['--blobHost', '127.0.0.1', '--blobPort', String(port)];
  const server = opened.use(
    await startProcess({
      command: process.execPath,
      args: [program, '--silent', ...address, ...options],
      env: { AZURITE_ACCOUNTS: `${account}:${key}` },
      directory,
    }),
  );
  const url = `http://127.0.0.1:${port}`;
  await eventually('Azurite answers', () => {
    if (!server.isRunning) throw new Error(server.output);
    return answers(url);
  });
  const owned = opened.move();
  return { url, account, key, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Any status will do: without credentials it refuses everything. */
async function answers(url: string): Promise<true | undefined> {
  try {
    await fetch(url);
    return true;
  } catch {
    return undefined;
  }
}
