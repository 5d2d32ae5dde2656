import { Agent, createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Harm, Weather } from './weather.ts';

/** An HTTP proxy in front of a bucket's server that lets the weather at every request. */
export class StormProxy implements AsyncDisposable {
  readonly #target: string;
  readonly #weather: Weather;
  readonly #connections = new Agent({ keepAlive: true });
  readonly #server = createServer((incoming, response) => void this.#serve(incoming, response));

  private constructor(target: string, weather: Weather) {
    this.#target = target;
    this.#weather = weather;
  }

  static async start(target: string, weather: Weather): Promise<StormProxy> {
    const proxy = new StormProxy(target, weather);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connections.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const harm = this.#weather.next(Date.now());
    switch (harm?.kind) {
      case 'late':
        await delay(harm.ms);
        break;
      case 'slow down':
        incoming.resume();
        response.writeHead(429, { 'retry-after': '1' }).end();
        return;
      case 'error':
        incoming.resume();
        if (harm.how === 'reset') response.destroy();
        else response.writeHead(harm.how === 'internal' ? 500 : 503).end();
        return;
      default:
    }
    this.#passOn(incoming, response, harm);
  }

  #passOn(incoming: IncomingMessage, response: ServerResponse, harm: Harm | undefined): void {
    const { method = 'GET', headers, url = '/' } = incoming;
    const options = { method, headers, agent: this.#connections };
    const outgoing = request(this.#target + url, options, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      answer.once('error', () => response.destroy());
      answer.once('end', () => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        send(Buffer.concat(pieces), response, harm);
      });
    });
    outgoing.once('error', () => response.destroy());
    incoming.pipe(outgoing);
  }
}

function send(body: Buffer, response: ServerResponse, harm: Harm | undefined): void {
  if (body.length === 0 || harm === undefined) {
    response.end(body);
    return;
  }
  switch (harm.kind) {
    case 'flip':
      body[Math.floor(harm.share * body.length)]! ^= harm.mask;
      response.end(body);
      return;
    case 'stall':
      response.write(body.subarray(0, Math.floor(harm.share * body.length)));
      return;
    case 'truncate':
      response.write(body.subarray(0, Math.floor(harm.share * body.length)), () => {
        response.destroy();
      });
      return;
    default:
      response.end(body);
  }
}
