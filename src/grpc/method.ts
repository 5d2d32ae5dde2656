import type { MessageWriter } from './message-writer.ts';

/** How messages of one type become bytes and back. */
export interface MessageCodec<Message> {
  encode(message: Message): { finish(): Uint8Array };
  /** May keep views into `bytes`, which belong to the callee from here on. */
  decode(bytes: Uint8Array): Message;
  /**
   * Instead of `encode` in answers, for hot paths: writes what stands for `message` without steps
   * between. It may be any number of messages on the wire.
   */
  write?(message: Message, out: MessageWriter): void;
}

/** A method as the generated service definitions describe it. */
export interface Method<Request, Response> {
  readonly name: string;
  readonly requestType: MessageCodec<Request>;
  readonly requestStream: boolean;
  readonly responseType: MessageCodec<Response>;
  readonly responseStream: boolean;
}

/** A generated service definition. */
export interface ServiceDefinition {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, Method<unknown, unknown>>>;
}

type RequestOf<M> = M extends { readonly requestType: MessageCodec<infer Request> }
  ? Request
  : never;
type ResponseOf<M> = M extends { readonly responseType: MessageCodec<infer Response> }
  ? Response
  : never;

/** What a handler may know of its call besides the request. */
export interface ServerCall {
  /** Aborts when the caller cancels or is gone, or its deadline passes. */
  readonly signal: AbortSignal;
  /** A value of the call's metadata; names are in lower case. */
  metadata(name: string): string | undefined;
}

/** What a caller may say besides the request. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** The deadline, which the server learns too. */
  readonly timeoutMs?: number;
  /** Names in lower case. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Waits for a connection until the deadline instead of failing while the peer is out of reach. */
  readonly waitForReady?: boolean;
}

export type Handler<M> = M extends { readonly responseStream: true }
  ? M extends { readonly requestStream: true }
    ? (requests: AsyncIterable<RequestOf<M>>, call: ServerCall) => AsyncIterable<ResponseOf<M>>
    : (request: RequestOf<M>, call: ServerCall) => AsyncIterable<ResponseOf<M>>
  : (request: RequestOf<M>, call: ServerCall) => Promise<ResponseOf<M>>;

export type Handlers<D extends { readonly methods: object }> = {
  readonly [Name in keyof D['methods']]: Handler<D['methods'][Name]>;
};

export type Stub<M> = M extends { readonly responseStream: true }
  ? (request: RequestOf<M>, options?: CallOptions) => AsyncIterable<ResponseOf<M>>
  : (request: RequestOf<M>, options?: CallOptions) => Promise<ResponseOf<M>>;

/** One function a method; those with streams of requests are not for our clients. */
export type Client<D extends { readonly methods: object }> = {
  readonly [Name in keyof D['methods']]: Stub<D['methods'][Name]>;
};

/** A method with the function that serves it. */
export interface ServedMethod {
  readonly method: Method<unknown, unknown>;
  readonly handle: (
    request: unknown,
    call: ServerCall,
  ) => Promise<unknown> | AsyncIterable<unknown>;
}

/** A service ready to be registered with a server. */
export interface Service {
  readonly fullName: string;
  /** By the name in the path. */
  readonly methods: ReadonlyMap<string, ServedMethod>;
}

/** Ties a definition to the functions that serve it; the types keep the two together. */
export function serve<D extends ServiceDefinition>(definition: D, handlers: Handlers<D>): Service {
  const methods = new Map<string, ServedMethod>();
  for (const [key, method] of Object.entries(definition.methods)) {
    // The key is one of `Handlers<D>`, whose entry has the types of this very method.
    const handle = handlers[key as keyof D['methods']] as unknown as ServedMethod['handle'];
    methods.set(method.name, { method, handle });
  }
  return { fullName: definition.fullName, methods };
}
