import type { BlocksSeen } from '#/blocks/seen-blocks.ts';
import type { Params } from '#/http/params.ts';
import { blocksSection } from './blocks-section.ts';
import { timeText } from './figures.ts';
import { framed } from './frame.ts';
import { markup } from './html.ts';

export interface BlocksPage {
  readonly title: string;
  readonly seen: BlocksSeen;
  readonly nowMs: number;
  readonly label: string;
  readonly links: readonly { readonly href: string; readonly text: string }[];
  readonly params: Pick<Params, 'text'>;
}

const REFRESH_SECONDS = 60;
const NONE: ReadonlySet<string> = new Set();

/** The blocks alone, with a table. */
export function blocksPage({ title, links, nowMs, ...section }: BlocksPage): string {
  return framed({
    title,
    links,
    refreshSeconds: REFRESH_SECONDS,
    note: markup`<span class="quiet">${timeText(nowMs)}</span>`,
    body: [blocksSection({ ...section, nowMs, faulty: NONE, withTable: true })],
  });
}
