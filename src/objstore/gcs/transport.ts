import type { IncomingMessage } from 'node:http';
import * as https from 'node:https';
import type * as Sdk from 'google-auth-library';
import { http } from '#/http/node-http.ts';
import type { Disk } from '#/lib/disk.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import { agentOptions } from '../remote/http.ts';
import type { GcsConfig } from './config.ts';
import { CredentialsError, GcsError } from './failures.ts';

const SCOPE = 'https://www.googleapis.com/auth/devstorage.read_write';
const ENDPOINT = 'https://storage.googleapis.com';
/** More of an error's text is of no use. */
const ERROR_BYTES = 64 * 1024;

export interface GcsRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the endpoint, or an absolute URL that an answer gave. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent one after the other. */
  readonly body?: readonly Uint8Array[];
  /** Statuses beside 2xx that are no failure. */
  readonly expected?: readonly number[];
}

export interface GcsTransport extends Disposable {
  readonly endpoint: string;
  /** Resolves when the answer's headers are there. @throws GcsError, CredentialsError or Node's errors. */
  send(request: GcsRequest, signal: AbortSignal): Promise<IncomingMessage>;
}

interface TransportEffects {
  readonly disk: Disk;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Requests with Google's own credentials library behind them. Its storage client is not used: it
 * cannot be told to stop, and closes all its connections when one of its reads breaks.
 */
export async function openTransport(
  config: GcsConfig,
  { disk, environment }: TransportEffects,
): Promise<GcsTransport> {
  const emulator = environment['STORAGE_EMULATOR_HOST'] ?? '';
  const endpoint = emulator === '' ? ENDPOINT : withScheme(emulator);
  const { connections, tls } = await agentOptions(config.http_config, disk, environment);
  const { request, Agent, options } = endpoint.startsWith('http://')
    ? { request: http.request, Agent: http.Agent, options: connections }
    : { request: https.request, Agent: https.Agent, options: { ...connections, ...tls } };
  const agent = new Agent(options);
  const withoutCredentials = emulator !== '' && config.service_account === '';
  const authorization = withoutCredentials
    ? () => Promise.resolve(undefined)
    : await openCredentials(config.service_account);
  return {
    endpoint,
    async send({ method, url, headers, body = [], expected = [] }, signal) {
      const token = await untilAborted(authorization(), signal);
      const length = body.reduce((sum, piece) => sum + piece.length, 0);
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const outgoing = request(new URL(url, endpoint), {
          method,
          agent,
          signal,
          headers: {
            'user-agent': 'hindsight',
            'content-length': length,
            ...(token === undefined ? {} : { authorization: token }),
            ...headers,
          },
        });
        outgoing.once('response', resolve).once('error', reject).setNoDelay();
        for (const piece of body) outgoing.write(piece);
        outgoing.end();
      });
      const status = response.statusCode ?? 0;
      if ((status >= 200 && status < 300) || expected.includes(status)) return response;
      const text = await readText(response, ERROR_BYTES);
      throw new GcsError(status, text, response.headers['retry-after']);
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

/** The whole of a small answer, up to `maxBytes`. */
export async function readText(
  response: IncomingMessage,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    length += piece.length;
    if (length >= maxBytes) break;
  }
  return Buffer.concat(pieces).toString();
}

function withScheme(host: string): string {
  return host.includes('://') ? host : `http://${host}`;
}

/** A credentials file, as far as it is looked at here. */
interface Account {
  readonly type: string;
  readonly client_email?: string;
  readonly private_key?: string;
  readonly private_key_id?: string;
  readonly client_id?: string;
  readonly client_secret?: string;
  readonly refresh_token?: string;
}

/** The library takes a while to load: only who uses GCS pays for it. It keeps tokens until they expire. */
async function openCredentials(account: string): Promise<() => Promise<string | undefined>> {
  const sdk = await import('google-auth-library');
  const auth = account === '' ? new sdk.GoogleAuth({ scopes: SCOPE }) : clientOf(sdk, account);
  return async () => {
    try {
      return (await auth.getRequestHeaders()).get('authorization') ?? undefined;
    } catch (thrown) {
      throw new CredentialsError(thrown);
    }
  };
}

function clientOf(sdk: typeof Sdk, text: string): Sdk.AuthClient | Sdk.GoogleAuth {
  const account = JSON.parse(text) as Account;
  switch (account.type) {
    case 'service_account':
      return new sdk.JWT({
        email: account.client_email ?? '',
        key: account.private_key ?? '',
        keyId: account.private_key_id ?? '',
        scopes: SCOPE,
      });
    case 'authorized_user':
      return new sdk.UserRefreshClient({
        clientId: account.client_id ?? '',
        clientSecret: account.client_secret ?? '',
        refreshToken: account.refresh_token ?? '',
      });
    default:
      return new sdk.GoogleAuth({ scopes: SCOPE, credentials: account });
  }
}
