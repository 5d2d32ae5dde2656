import type { Route } from './server.ts';

/** `/a/b` of `a/b/`; `''` for the root. */
export function trimPrefix(prefix: string): string {
  const trimmed = prefix.replaceAll(/^\/+|\/+$/g, '');
  return trimmed === '' ? '' : `/${trimmed}`;
}

/** The routes below a prefix, and a redirect from the prefix itself to the page there. */
export function underPrefix(prefix: string, routes: readonly Route[]): Route[] {
  const below = trimPrefix(prefix);
  if (below === '') return [...routes];
  const moved = routes.map((route) => ({ ...route, path: below + route.path }));
  return [...moved, redirect(below, `${below}/`)];
}

/** Sends a browser from a path to another. */
export function redirect(path: string, to: string): Route {
  return {
    methods: ['GET'],
    path,
    handler: 'redirect',
    handle: () => Promise.resolve({ status: 302, headers: { location: to }, body: '' }),
  };
}
