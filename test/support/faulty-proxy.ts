import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** What happens to a request instead of being passed on. */
export type ProxyFault =
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: number }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** Closes the connection without passing the request on. */
  | { readonly kind: 'reset' }
  /** Passes it on, and then closes the connection without an answer. */
  | { readonly kind: 'lose-reply' }
  /** Answers as the server does and stops after so many bytes, closing the connection or not. */
  | { readonly kind: 'truncate'; readonly bytes: number; readonly close: boolean }
  /** Answers with another byte at this place. */
  | { readonly kind: 'damage'; readonly at: number };

/** An HTTP proxy in front of a real server, for what that one cannot be made to do. */
export class FaultyProxy implements AsyncDisposable {
  /** Asked for every request; `undefined` passes it on. */
  fault: (incoming: IncomingMessage) => ProxyFault | undefined = () => undefined;
  readonly seen: IncomingMessage[] = [];
  readonly #target: string;
  readonly #server = createServer((incoming, response) => this.#serve(incoming, response));

  private constructor(target: string) {
    this.#target = target;
  }

  static async start(target: string): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  clear(): void {
    this.fault = () => undefined;
    this.seen.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(incoming: IncomingMessage, response: ServerResponse): void {
    this.seen.push(incoming);
    const fault = this.fault(incoming);
    switch (fault?.kind) {
      case 'hang':
        incoming.resume();
        return;
      case 'reset':
        response.destroy();
        return;
      case 'status': {
        incoming.resume();
        const { retryAfter } = fault;
        const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
        response.writeHead(fault.status, headers).end();
        return;
      }
      default:
        this.#passOn(incoming, response, fault);
    }
  }

  #passOn(
    incoming: IncomingMessage,
    response: ServerResponse,
    fault: ProxyFault | undefined,
  ): void {
    const { method, headers, url = '/' } = incoming;
    const outgoing = request(this.#target + url, { method: method ?? 'GET', headers }, (answer) => {
      if (fault?.kind === 'lose-reply') {
        answer.resume().once('end', () => response.destroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      if (fault?.kind === 'truncate') truncate(answer, response, fault);
      else if (fault?.kind === 'damage') damage(answer, response, fault.at);
      else answer.pipe(response);
    });
    outgoing.once('error', () => response.destroy());
    incoming.pipe(outgoing);
  }
}

function truncate(
  answer: IncomingMessage,
  response: ServerResponse,
  { bytes, close }: { readonly bytes: number; readonly close: boolean },
): void {
  let left = bytes;
  answer.on('data', (piece: Buffer) => {
    if (left <= 0) return;
    const part = piece.subarray(0, left);
    left -= part.length;
    response.write(part, () => {
      if (left <= 0 && close) response.destroy();
    });
  });
}

function damage(answer: IncomingMessage, response: ServerResponse, at: number): void {
  let offset = 0;
  answer.on('data', (piece: Buffer) => {
    if (at >= offset && at < offset + piece.length) piece[at - offset]! ^= 0x20;
    offset += piece.length;
    response.write(piece);
  });
  answer.once('end', () => response.end());
}
