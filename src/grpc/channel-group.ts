import { UnavailableError } from '#/lib/errors.ts';
import { Channel } from './client.ts';
import type { Caller, ChannelOptions } from './client.ts';
import type { CallOptions, Method } from './method.ts';

/**
 * Several addresses that serve the same data: every call goes to the next one that is in reach.
 * Addresses may change at any time; calls that run on one that is gone end first.
 */
export class ChannelGroup implements Caller, Disposable {
  readonly address: string;
  readonly #options: Omit<ChannelOptions, 'address'>;
  #channels: Channel[] = [];
  readonly #leaving = new Set<Channel>();
  readonly #running = new Map<Channel, number>();
  #turn = 0;

  /** `name` stands for the group in messages. */
  constructor(name: string, options: Omit<ChannelOptions, 'address'>) {
    this.address = name;
    this.#options = options;
  }

  get addresses(): readonly string[] {
    return this.#channels.map(({ address }) => address);
  }

  setAddresses(addresses: readonly string[]): void {
    const known = new Map(this.#channels.map((channel) => [channel.address, channel]));
    this.#channels = addresses.map((address) => {
      const channel = known.get(address) ?? new Channel({ ...this.#options, address });
      known.delete(address);
      return channel;
    });
    for (const channel of known.values()) this.#leave(channel);
  }

  async unary<Request, Response>(
    path: string,
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const channel = await this.#next(options);
    using _ = this.#use(channel);
    return await channel.unary(path, method, request, options);
  }

  async *stream<Request, Response>(
    path: string,
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): AsyncGenerator<Response[], void> {
    const channel = await this.#next(options);
    using _ = this.#use(channel);
    yield* channel.stream(path, method, request, options);
  }

  [Symbol.dispose](): void {
    for (const channel of [...this.#channels, ...this.#leaving]) channel[Symbol.dispose]();
  }

  /** The next channel that is in reach; if none is, the next one, whose error then tells why. */
  async #next({ signal = new AbortController().signal }: CallOptions): Promise<Channel> {
    const channels = this.#channels;
    const turn = this.#turn++;
    for (let i = 0; i < channels.length; i++) {
      const channel = channels[(turn + i) % channels.length]!;
      try {
        await channel.connect(signal);
        return channel;
      } catch (thrown) {
        signal.throwIfAborted();
        if (!(thrown instanceof UnavailableError)) throw thrown;
      }
    }
    const channel = channels[turn % channels.length];
    if (channel === undefined) throw new UnavailableError(`${this.address}: no addresses`);
    return channel;
  }

  #use(channel: Channel): Disposable {
    this.#running.set(channel, (this.#running.get(channel) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = this.#running.get(channel)! - 1;
        if (left > 0) {
          this.#running.set(channel, left);
        } else {
          this.#running.delete(channel);
          if (this.#leaving.delete(channel)) channel[Symbol.dispose]();
        }
      },
    };
  }

  #leave(channel: Channel): void {
    if (this.#running.has(channel)) this.#leaving.add(channel);
    else channel[Symbol.dispose]();
  }
}
