import type { BlocksSeen, SeenBlock } from '#/blocks/seen-blocks.ts';
import type { Params } from '#/http/params.ts';
import {
  bytesText,
  countText,
  durationText,
  labelsText,
  relativeTime,
  resolutionText,
  timeText,
} from './figures.ts';
import { markup } from './html.ts';
import type { Html } from './html.ts';
import { table } from './table.ts';
import { resolutionOf, sizeOf, timeline } from './timeline.ts';

export interface BlocksSectionOptions {
  readonly seen: BlocksSeen;
  readonly nowMs: number;
  readonly label: string;
  readonly faulty: ReadonlySet<string>;
  /** `q`: what to search for; `range`: how much time to show. */
  readonly params: Pick<Params, 'text'>;
  /** Whether blocks are listed, too. */
  readonly withTable: boolean;
}

const RANGES = [
  ['', 'all'],
  ['365d', '1 year'],
  ['90d', '90 days'],
  ['14d', '14 days'],
  ['2d', '2 days'],
] as const;
const DAY_MS = 86_400_000;
const MAX_LISTED = 300;

/** The blocks of a bucket: a search, the picture, and a table if wanted. */
export function blocksSection(options: BlocksSectionOptions): Html {
  const { seen, nowMs, params, faulty, label } = options;
  const query = params.text('q').trim();
  const range = RANGES.find(([value]) => value === params.text('range'))?.[0] ?? '';
  const found = seen.blocks.filter((block) => matches(block, query));
  const bytes = found.reduce((sum, block) => sum + sizeOf(block), 0);
  const rangeMs = range === '' ? {} : { rangeMs: Number.parseInt(range, 10) * DAY_MS };
  const failed =
    seen.error === undefined
      ? undefined
      : markup`<div class="card">
          <p>
            <b>The last look at the bucket failed</b>; this is from the one before: ${seen.error}
          </p>
        </div>`;
  return markup`<form method="get">
      <input
        name="q"
        value="${query}"
        placeholder="a label value, or a ULID"
        aria-label="Search for blocks"
      />
      <input type="hidden" name="range" value="${range}" /><button>Search</button>
      <span class="ranges">${RANGES.map((one) => rangeLink(one, range, query))}</span>
    </form>
    <p class="quiet">
      ${countText(found.length, 'block')}${query === '' ? '' : ' found'}, ${bytesText(bytes)}, seen
      ${relativeTime(seen.refreshedAtMs, nowMs)}
    </p>
    ${failed}${timeline({ blocks: found, faulty, label, ...rangeMs })}
    ${options.withTable ? newestBlocks(found) : undefined}`;
}

function matches({ meta }: SeenBlock, query: string): boolean {
  if (query === '') return true;
  if (meta.ulid.startsWith(query.toUpperCase())) return true;
  return labelsText(meta.thanos?.labels ?? {}).includes(query);
}

function rangeLink([value, text]: (typeof RANGES)[number], current: string, query: string): Html {
  if (value === current) return markup`<b>${text}</b>`;
  return markup`<a href="?${new URLSearchParams({ q: query, range: value }).toString()}">${text}</a>`;
}

const BLOCK_COLUMNS = [
  'ULID',
  'Labels',
  'From',
  'Range',
  'Resolution',
  { number: 'Level' },
  { number: 'Series' },
  { number: 'Samples' },
  { number: 'Size' },
  'Source',
  'Marks',
];

function newestBlocks(blocks: readonly SeenBlock[]): Html {
  const newest = blocks.toSorted((a, b) => b.meta.maxTime - a.meta.maxTime);
  const rows = newest.slice(0, MAX_LISTED).map(({ meta, marks }) => {
    const { ulid, minTime, maxTime, compaction, stats, thanos } = meta;
    return markup`<tr>
      <td><code>${ulid}</code></td>
      <td>${labelsText(thanos?.labels ?? {})}</td>
      <td class="tight">${timeText(minTime)}</td>
      <td class="tight">${durationText(maxTime - minTime)}</td>
      <td>${resolutionText(resolutionOf({ meta, marks }))}</td>
      <td class="num">${compaction.level}</td>
      <td class="num">${stats.numSeries.toLocaleString('en-US')}</td>
      <td class="num">${stats.numSamples.toLocaleString('en-US')}</td>
      <td class="num">${bytesText(sizeOf({ meta, marks }))}</td>
      <td>${thanos?.source}</td>
      <td>${marks.join(', ')}</td>
    </tr> `;
  });
  const rest = newest.length - rows.length;
  return markup`<h2>The newest blocks</h2>
    ${table(BLOCK_COLUMNS, rows)}
    ${rest > 0 ? markup`<p class="quiet">and ${countText(rest, 'older block')}</p>` : undefined}`;
}
