import type { Route } from '#/http/server.ts';
import { page } from './ui/page.ts';

/** The querier's own page: an expression, its graph and its table. */
export function uiRoutes(): Route[] {
  const html = { status: 200, contentType: 'text/html; charset=utf-8', body: page };
  const route = (path: string): Route => ({
    methods: ['GET'],
    path,
    handler: 'ui',
    handle: () => Promise.resolve(html),
  });
  return [route('/'), route('/graph')];
}
