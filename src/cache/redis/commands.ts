import type { ConnectionOptions } from 'node:tls';
import type * as RedisLibrary from '@redis/client';
import { splitAddress } from '#/lib/net.ts';

export type Library = Omit<typeof RedisLibrary, 'default'>;

/** What we ask of a server, a cluster or a master behind sentinels. */
export interface Commands {
  /** Resolves when commands can be sent; rejects when that needs another try. */
  connect(): Promise<unknown>;
  getMany(keys: string[]): Promise<(Buffer | null)[]>;
  set(key: string, value: Buffer, ttlSeconds: number): Promise<unknown>;
  close(): Promise<void>;
}

export interface ConnectionSettings {
  /** `host:port`. */
  readonly addresses: readonly string[];
  readonly username: string;
  readonly password: string;
  readonly database: number;
  readonly dialTimeoutMs: number;
  /** A connection on which nothing comes for that long, pings notwithstanding, is given up. */
  readonly silenceMs: number;
  /** Clear text without. */
  readonly tls: ConnectionOptions | undefined;
  /** Hears of every failure of a connection; the library connects again by itself. */
  readonly failed: (cause: unknown) => void;
}

/** Between two tries to connect. */
const RECONNECT_MS = 500;
/** Commands that wait for their replies on one connection. */
const MAX_COMMANDS = 10_000;

export function singleServer(library: Library, settings: ConnectionSettings): Commands {
  const { RESP_TYPES, createClient } = library;
  const [address = ''] = settings.addresses;
  const client = createClient({
    ...clientOptions(settings),
    socket: { ...socketOptions(settings), ...splitAddress(address) },
  });
  client.on('error', settings.failed);
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return {
    connect: () => client.connect(),
    getMany: (keys) => binary.mGet(keys),
    set: (key, value, seconds) => client.set(key, value, expiring(seconds)),
    close: () => {
      client.destroy();
      return Promise.resolve();
    },
  };
}

/** A cluster has no reply to keys of several nodes at once, so each key is a command of its own. */
export function cluster(library: Library, settings: ConnectionSettings): Commands {
  const { RESP_TYPES, createCluster } = library;
  const client = createCluster({
    RESP: 2,
    rootNodes: settings.addresses.map((address) => ({ socket: splitAddress(address) })),
    defaults: { ...clientOptions(settings), database: 0, socket: socketOptions(settings) },
    useReplicas: true,
  });
  client.on('error', settings.failed);
  client.on('node-error', settings.failed);
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return {
    connect: () => client.connect(),
    getMany: (keys) => Promise.all(keys.map((key) => binary.get(key))),
    set: (key, value, seconds) => client.set(key, value, expiring(seconds)),
    close: () => {
      client.destroy();
      return Promise.resolve();
    },
  };
}

/** The master called `masterName`, as the sentinels at the addresses know it. */
export function behindSentinels(
  library: Library,
  settings: ConnectionSettings,
  masterName: string,
): Commands {
  const { RESP_TYPES, createSentinel } = library;
  const client = createSentinel({
    RESP: 2,
    name: masterName,
    sentinelRootNodes: settings.addresses.map(splitAddress),
    nodeClientOptions: { ...clientOptions(settings), socket: socketOptions(settings) },
    sentinelClientOptions: { socket: socketOptions(settings) },
    passthroughClientErrorEvents: true,
  });
  client.on('error', settings.failed);
  client.on('client-error', settings.failed);
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return {
    connect: () => client.connect(),
    getMany: (keys) => binary.mGet(keys),
    set: (key, value, seconds) => client.set(key, value, expiring(seconds)),
    close: () => client.destroy(),
  };
}

function clientOptions({ username, password, database, silenceMs }: ConnectionSettings) {
  return {
    RESP: 2 as const,
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    database,
    // A command that cannot be sent at once fails at once.
    disableOfflineQueue: true,
    commandsQueueMaxLength: MAX_COMMANDS,
    pingInterval: Math.ceil(silenceMs / 3),
  };
}

function socketOptions({ dialTimeoutMs, silenceMs, tls }: ConnectionSettings) {
  return {
    connectTimeout: dialTimeoutMs,
    socketTimeout: silenceMs,
    reconnectStrategy: () => RECONNECT_MS,
    ...(tls === undefined ? {} : { ...tls, tls: true as const }),
  };
}

function expiring(seconds: number) {
  return { expiration: { type: 'EX', value: seconds } } as const;
}
