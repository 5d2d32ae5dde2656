import { redirect, trimPrefix } from './prefix.ts';
import type { HttpReply, HttpRequest, Route } from './server.ts';

/**
 * A place below a prefix for routes of a part that starts later, or again, than the server. They are
 * found by their whole paths, without parameters.
 */
export class Mount {
  /** For the server. */
  readonly routes: readonly Route[];
  readonly #prefix: string;
  #mounted: readonly Route[] = [];

  constructor(prefix: string) {
    this.#prefix = trimPrefix(prefix);
    this.routes = [
      redirect(this.#prefix, `${this.#prefix}/`),
      {
        methods: ['GET', 'POST'],
        path: `${this.#prefix}/*`,
        handler: 'mounted',
        handle: (request) => this.#handle(request),
      },
    ];
  }

  /** Serves `routes` until the result is disposed. */
  mount(routes: readonly Route[]): AsyncDisposable {
    this.#mounted = routes;
    return {
      [Symbol.asyncDispose]: () => {
        this.#mounted = [];
        return Promise.resolve();
      },
    };
  }

  #handle(request: HttpRequest): Promise<HttpReply> {
    if (this.#mounted.length === 0) return plain(503, 'this part of the process does not run');
    const path = request.path.slice(this.#prefix.length);
    const ofPath = this.#mounted.filter((route) => route.path === path);
    if (ofPath.length === 0) return plain(404, '404 page not found');
    const route = ofPath.find(({ methods }) => methods.some((one) => one === request.method));
    return route?.handle(request) ?? plain(405, 'Method Not Allowed');
  }
}

function plain(status: number, text: string): Promise<HttpReply> {
  return Promise.resolve({ status, contentType: 'text/plain', body: `${text}\n` });
}
