import type { SeenBlock } from '#/blocks/seen-blocks.ts';
import {
  bytesText,
  countText,
  durationText,
  labelsText,
  resolutionText,
  timeText,
} from './figures.ts';
import { markup } from './html.ts';
import type { Html } from './html.ts';

/** Blocks of one stream, that is of equal external labels. */
interface Stream {
  readonly name: string;
  readonly lanes: readonly Lane[];
  readonly blocks: number;
}

/** Blocks of one resolution that do not overlap, by time. */
type Lane = readonly SeenBlock[];

/** One block, or several that are too small to be told apart. */
interface Bar {
  readonly blocks: SeenBlock[];
  readonly mint: number;
  maxt: number;
}

export interface TimelineOptions {
  readonly blocks: readonly SeenBlock[];
  /** Blocks that something is wrong with, by ULID. */
  readonly faulty: ReadonlySet<string>;
  /** Shows no more than the last of so much time; everything if absent. */
  readonly rangeMs?: number;
  /** The external label that names a stream; all of them if empty. */
  readonly label: string;
}

/** A picture has this many units across. */
const WIDTH = 1000;
const LANE_HEIGHT = 12;
const BAR_HEIGHT = 10;
/** Bounds of what is drawn; what is left out is said. */
const MAX_STREAMS = 200;
const MAX_LANES = 8;
const MAX_BARS = 5000;
const TICKS = 6;

/**
 * Which blocks there are, by stream and time: a row a stream, a line for each resolution in it and
 * more where blocks overlap, coloured by resolution and level. Blocks that would be too small to be
 * seen become one bar, and more do so the more there are to draw.
 */
export function timeline(options: TimelineOptions): Html {
  const shown = blocksInRange(options);
  if (shown.length === 0) return markup`<p class="quiet">There are no blocks.</p>`;
  const mint = shown.reduce((least, { meta }) => Math.min(least, meta.minTime), Infinity);
  const maxt = shown.reduce((most, { meta }) => Math.max(most, meta.maxTime), -Infinity);
  const axis = new Axis(options.rangeMs === undefined ? mint : maxt - options.rangeMs, maxt);
  const all = streamsOf(shown, options.label);
  const streams = all.slice(0, MAX_STREAMS);
  const rows = barsOf(streams, axis).map((lanes, i) => row(streams[i]!, lanes, axis, options));
  return markup`${legend()}
    <div class="timeline">${axis.labels()}${rows}</div>
    ${leftOut(all)}`;
}

function blocksInRange({ blocks, rangeMs }: TimelineOptions): readonly SeenBlock[] {
  const sane = blocks.filter(({ meta }) => meta.maxTime > meta.minTime);
  if (rangeMs === undefined) return sane;
  const maxt = sane.reduce((most, { meta }) => Math.max(most, meta.maxTime), -Infinity);
  return sane.filter(({ meta }) => meta.maxTime > maxt - rangeMs);
}

/** `c-2` before `c-10`. */
const byName = new Intl.Collator('en', { numeric: true });

function streamsOf(blocks: readonly SeenBlock[], label: string): Stream[] {
  const named = Map.groupBy(blocks, ({ meta }) => {
    const labels = meta.thanos?.labels ?? {};
    return label === '' ? labelsText(labels) : (labels[label] ?? '');
  });
  return Array.from(named, ([name, ofStream]) => ({
    name,
    lanes: lanesOf(ofStream),
    blocks: ofStream.length,
  })).sort((a, b) => byName.compare(a.name, b.name));
}

/** By resolution; blocks that overlap go into lines of their own, as far as there are any. */
function lanesOf(blocks: readonly SeenBlock[]): Lane[] {
  const byResolution = [...Map.groupBy(blocks, resolutionOf)].sort(([a], [b]) => a - b);
  const all = byResolution.flatMap(([, ofResolution]) => {
    const lanes: { blocks: SeenBlock[]; maxt: number }[] = [];
    for (const block of ofResolution.toSorted((a, b) => a.meta.minTime - b.meta.minTime)) {
      let lane = lanes.find(({ maxt }) => maxt <= block.meta.minTime);
      if (lane === undefined && lanes.length === MAX_LANES) lane = lanes.at(-1);
      if (lane === undefined) lanes.push((lane = { blocks: [], maxt: -Infinity }));
      lane.blocks.push(block);
      lane.maxt = Math.max(lane.maxt, block.meta.maxTime);
    }
    return lanes.map((lane) => lane.blocks);
  });
  return all;
}

/** The bars of each lane of each stream: few enough that a browser likes them. */
function barsOf(streams: readonly Stream[], axis: Axis): Bar[][][] {
  for (let least = 1.5; ; least *= 2) {
    const bars = streams.map(({ lanes }) => lanes.map((lane) => mergeSmall(lane, axis, least)));
    const count = bars.flat().reduce((sum, lane) => sum + lane.length, 0);
    if (count <= MAX_BARS || least > WIDTH) return bars;
  }
}

/** Neighbours become one bar while it is less than `least` wide. */
function mergeSmall(lane: Lane, axis: Axis, least: number): Bar[] {
  const bars: Bar[] = [];
  for (const block of lane) {
    const { minTime, maxTime } = block.meta;
    const last = bars.at(-1);
    if (last !== undefined && axis.x(maxTime) - axis.x(last.mint) < least) {
      last.blocks.push(block);
      last.maxt = Math.max(last.maxt, maxTime);
    } else bars.push({ blocks: [block], mint: minTime, maxt: maxTime });
  }
  return bars;
}

function row(
  stream: Stream,
  lanes: readonly (readonly Bar[])[],
  axis: Axis,
  { faulty }: TimelineOptions,
): Html {
  const height = lanes.length * LANE_HEIGHT + 2;
  const drawn = lanes.map((bars, lane) => bars.map((bar) => draw(bar, lane, axis, faulty)));
  const label = `${countText(stream.blocks, 'block')} of ${stream.name}`;
  return markup`<div class="stream" title="${label}">
      <span>${stream.name}</span> <small>${stream.blocks}</small>
    </div>
    <svg
      viewBox="0 0 ${WIDTH} ${height}"
      style="height:${height}px"
      preserveAspectRatio="none"
      role="img"
      aria-label="${label}"
    >
      ${axis.grid(height)}${drawn}
    </svg> `;
}

function draw(bar: Bar, lane: number, axis: Axis, faulty: ReadonlySet<string>): Html {
  const x = Math.max(0, axis.x(bar.mint));
  const width = Math.max(1, Math.min(WIDTH, axis.x(bar.maxt)) - x - 0.6);
  const level = bar.blocks.reduce((most, { meta }) => Math.max(most, meta.compaction.level), 1);
  const classes = [
    `r${resolutionClass(bar.blocks[0]!)}`,
    `l${Math.min(level, 5)}`,
    ...(bar.blocks.some(({ meta }) => faulty.has(meta.ulid)) ? ['faulty'] : []),
    ...(bar.blocks.every(({ marks }) => marks.includes('deletion')) ? ['deleted'] : []),
    ...(bar.blocks.some(({ marks }) => marks.includes('no-compact')) ? ['alone'] : []),
  ];
  const place = markup`x="${number(x)}" y="${lane * LANE_HEIGHT + 2}" width="${number(width)}"`;
  return markup`<rect class="${classes.join(' ')}" ${place} height="${BAR_HEIGHT}"><title>${titleOf(bar)}</title></rect>
`;
}

function titleOf({ blocks, mint, maxt }: Bar): string {
  const range = `${timeText(mint)} – ${timeText(maxt)} (${durationText(maxt - mint)})`;
  const [first] = blocks;
  if (blocks.length > 1 || first === undefined)
    return `${countText(blocks.length, 'block')}\n${range}`;
  const { meta, marks } = first;
  return [
    meta.ulid,
    range,
    `${resolutionText(resolutionOf(first))}, level ${meta.compaction.level}`,
    `${countText(meta.stats.numSeries, 'series', 'series')}, ${countText(meta.stats.numSamples, 'sample')}, ${bytesText(sizeOf(first))}`,
    ...marks.map((mark) => `marked: ${mark}`),
  ].join('\n');
}

function legend(): Html {
  const swatch = (classes: string, text: string) =>
    markup`<span class="key">
      <svg viewBox="0 0 10 10"><rect class="${classes}" width="10" height="10" /></svg>${text}
    </span>`;
  return markup`<p class="legend">
    ${[
      swatch('r0 l1', 'raw'),
      ...[2, 3, 4, 5].map((level) =>
        swatch(`r0 l${level}`, `level ${level}${level === 5 ? '+' : ''}`),
      ),
      swatch('r1 l3', '5m'),
      swatch('r2 l3', '1h'),
      swatch('r0 l2 faulty', 'in quarantine'),
      swatch('r0 l2 deleted', 'marked for deletion'),
      swatch('r0 l2 alone', 'marked as not to be compacted'),
    ]}
  </p>`;
}

function leftOut(all: readonly Stream[]): Html | undefined {
  const rest = all.slice(MAX_STREAMS);
  if (rest.length === 0) return undefined;
  const blocks = rest.reduce((sum, stream) => sum + stream.blocks, 0);
  return markup`<p class="quiet">
    Not shown: ${countText(rest.length, 'stream')} with ${countText(blocks, 'block')}. Search for
    the one you want.
  </p>`;
}

export function resolutionOf({ meta }: SeenBlock): number {
  return meta.thanos?.downsample.resolution ?? 0;
}

/** Of all files, as the meta states it; 0 if it does not. */
export function sizeOf({ meta }: SeenBlock): number {
  return (meta.thanos?.files ?? []).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** 0 for raw, 1 up to minutes, 2 for what is coarser. */
function resolutionClass(block: SeenBlock): number {
  const resolutionMs = resolutionOf(block);
  if (resolutionMs === 0) return 0;
  return resolutionMs < 3_600_000 ? 1 : 2;
}

function number(value: number): string {
  return String(Number(value.toFixed(2)));
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const STEPS_MS = [
  ...[1, 2, 6, 12].map((hours) => hours * HOUR_MS),
  ...[1, 2, 7, 14, 30, 90, 180, 365].map((days) => days * DAY_MS),
];

/** From times to places in a picture. */
class Axis {
  readonly #mint: number;
  readonly #maxt: number;

  constructor(mint: number, maxt: number) {
    this.#mint = mint;
    this.#maxt = maxt;
  }

  x(timeMs: number): number {
    return ((timeMs - this.#mint) / (this.#maxt - this.#mint)) * WIDTH;
  }

  grid(height: number): Html[] {
    return this.#ticks().map((tick) => {
      const x = number(this.x(tick));
      return markup`<line x1="${x}" x2="${x}" y1="0" y2="${height}" />`;
    });
  }

  labels(): Html {
    const step = this.#stepMs();
    const ticks = this.#ticks().map((tick) => {
      const iso = new Date(tick).toISOString();
      const text = step < DAY_MS ? iso.slice(5, 16).replace('T', ' ') : iso.slice(0, 10);
      return markup`<span style="left:${number(this.x(tick) / 10)}%">${text}</span>`;
    });
    return markup`<div class="axis-name">UTC</div>
      <div class="axis">${ticks}</div>`;
  }

  #stepMs(): number {
    const least = (this.#maxt - this.#mint) / TICKS;
    const step = STEPS_MS.find((ms) => ms >= least);
    return step ?? Math.ceil(least / (365 * DAY_MS)) * 365 * DAY_MS;
  }

  #ticks(): number[] {
    const step = this.#stepMs();
    const ticks: number[] = [];
    const latest = Math.min(this.#maxt, 8.64e15);
    for (let tick = Math.ceil(this.#mint / step) * step; tick < latest; tick += step) {
      // A label at the very end would be cut off.
      if (this.x(tick) < 0.92 * WIDTH && tick >= -8.64e15) ticks.push(tick);
    }
    return ticks;
  }
}
