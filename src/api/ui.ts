import type { HttpReply, HttpRequest, Route } from '#/http/server.ts';
import type { BlocksApi, BlocksViewName } from './blocks.ts';
import type { CompactApi } from './compact.ts';
import { blocksPage } from './ui/blocks-page.ts';
import { compactPage } from './ui/compact-page.ts';
import { page } from './ui/page.ts';

/** A link on a page: relative, so that it holds behind any prefix of a proxy. */
export interface PageLink {
  readonly href: string;
  readonly text: string;
}

/** The querier's own page: an expression, its graph and its table; `links` lead to what else there is. */
export function uiRoutes(links: readonly PageLink[] = []): Route[] {
  const text = page(links);
  return routes(['/', '/graph'], () => htmlReply(text));
}

/**
 * The compactor's pages: how it stands at `/`, its blocks at `/loaded`, and those of the whole bucket
 * at `/blocks`, which Thanos also calls `/global`. They need no scripts and load nothing.
 */
export function compactUiRoutes(compactor: CompactApi, blocks: BlocksApi): Route[] {
  const links = [
    { href: './', text: 'Compactor' },
    { href: 'loaded', text: 'Its blocks' },
    { href: 'blocks', text: 'All blocks' },
    { href: 'api/v1/compact/status', text: 'Status as JSON' },
    { href: 'metrics', text: 'Metrics' },
  ];
  const { label } = blocks;
  return [
    ...routes(['/'], async ({ params }) => {
      const [status, seen] = await Promise.all([compactor.status(), blocks.seen('loaded')]);
      return locked(compactPage({ status, seen, label, links, params }));
    }),
    ...blocksRoutes(['/loaded'], 'loaded', { title: 'Blocks of the compactor', blocks, links }),
    ...blocksRoutes(['/blocks', '/global'], 'global', { title: 'All blocks', blocks, links }),
  ];
}

/** The pages of `tools bucket web`: the blocks of the bucket under each of Thanos's names. */
export function bucketUiRoutes(blocks: BlocksApi): Route[] {
  const links = [
    { href: './', text: 'Blocks' },
    { href: 'api/v1/blocks', text: 'Blocks as JSON' },
    { href: 'metrics', text: 'Metrics' },
  ];
  const paths = ['/', '/blocks', '/global', '/loaded'];
  return blocksRoutes(paths, 'global', { title: 'Blocks of the bucket', blocks, links });
}

function blocksRoutes(
  paths: readonly string[],
  view: BlocksViewName,
  {
    title,
    blocks,
    links,
  }: {
    readonly title: string;
    readonly blocks: BlocksApi;
    readonly links: readonly PageLink[];
  },
): Route[] {
  return routes(paths, async ({ params }) => {
    const seen = await blocks.seen(view);
    const { clock, label } = blocks;
    return locked(blocksPage({ title, seen, nowMs: clock.now(), label, links, params }));
  });
}

function routes(
  paths: readonly string[],
  reply: (request: HttpRequest) => HttpReply | Promise<HttpReply>,
): Route[] {
  return paths.map((path) => ({
    methods: ['GET'],
    path,
    handler: 'ui',
    handle: async (request) => reply(request),
  }));
}

function htmlReply(body: string): HttpReply {
  return { status: 200, contentType: 'text/html; charset=utf-8', body };
}

function locked(body: string): HttpReply {
  return { ...htmlReply(body), headers: LOCKED };
}

/** Should anything get past the escaping of pages that need no scripts, browsers do nothing with it. */
const LOCKED = {
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
  'cache-control': 'no-store',
};
