import { markup, Html } from './html.ts';

export interface Frame {
  readonly title: string;
  /** Where else one can go: relative, so that they hold behind any prefix of a proxy. */
  readonly links: readonly { readonly href: string; readonly text: string }[];
  /** Seconds until the browser asks again. */
  readonly refreshSeconds: number;
  /** What is said beside the title. */
  readonly note: Html;
  readonly body: readonly (Html | undefined)[];
}

/** A whole page: no scripts, nothing from elsewhere, light and dark as the reader likes it. */
export function framed({ title, links, refreshSeconds, note, body }: Frame): string {
  const nav = links.map(({ href, text }) => markup`<a href="${href}">${text}</a>`);
  return markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="refresh" content="${refreshSeconds}" />
        <title>${title}</title>
        <style>
          ${style}
        </style>
      </head>
      <body>
        <header>
          <h1>${title}</h1>
          ${note}
          <nav>${nav}</nav>
        </header>
        <main>${body}</main>
      </body>
    </html> `.text;
}

const style = new Html(`
:root {
  color-scheme: light dark;
  --back: #fff; --card: #f6f7f9; --text: #1c2530; --quiet: #5b6775; --line: #d7dce2;
  --accent: #b8410d; --bad: #b3261e; --bad-back: #fdecea; --warn: #8a5a00; --warn-back: #fff4dc; --good: #1b6e3c;
  --l1: 82%; --l2: 68%; --l3: 55%; --l4: 43%; --l5: 32%;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14181d; --card: #1d232a; --text: #e3e8ee; --quiet: #98a4b1; --line: #39424d;
    --accent: #ff9a62; --bad: #ff8a80; --bad-back: #3a1b1a; --warn: #f2c063; --warn-back: #33280f; --good: #6fd396;
    --l1: 30%; --l2: 42%; --l3: 54%; --l4: 66%; --l5: 80%;
  }
}
* { box-sizing: border-box; }
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 82rem; padding: 1rem 1.25rem 3rem; }
header { align-items: baseline; border-bottom: 1px solid var(--line); display: flex; flex-wrap: wrap; gap: .3rem 1.25rem; padding-bottom: .6rem; }
h1 { font-size: 1.25rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 0 1rem; margin-left: auto; }
a { color: var(--accent); }
.quiet, small { color: var(--quiet); }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); margin: 1rem 0 0; }
.tile { background: var(--card); border-radius: 6px; padding: .6rem .9rem; }
.tile b { display: block; font-size: 1.3rem; font-weight: 600; line-height: 1.3; }
.tile span { color: var(--quiet); font-size: .85rem; }
.bad b, .bad-text { color: var(--bad); }
.good-text { color: var(--good); }
.card { border: 1px solid var(--line); border-left: 4px solid var(--bad); border-radius: 4px; margin: .7rem 0; padding: .6rem .9rem; background: var(--bad-back); }
.card.warn { background: var(--warn-back); border-left-color: var(--warn); }
.card p { margin: .3rem 0; overflow-wrap: anywhere; }
.badge { border: 1px solid currentColor; border-radius: 9px; color: var(--bad); font-size: .8rem; font-weight: 600; margin-left: .5rem; padding: 0 .5rem; white-space: nowrap; }
.warn .badge { color: var(--warn); }
code, pre { font: .85rem/1.45 ui-monospace, monospace; }
pre { background: var(--back); border: 1px solid var(--line); border-radius: 4px; margin: .4rem 0 .2rem; overflow-wrap: anywhere; padding: .4rem .6rem; user-select: all; white-space: pre-wrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th { color: var(--quiet); font-size: .85rem; font-weight: 500; text-align: left; white-space: nowrap; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .9rem .3rem 0; vertical-align: top; }
td { overflow-wrap: break-word; } td code, td.tight { white-space: nowrap; }
.num { text-align: right; white-space: nowrap; }
td time { white-space: nowrap; }
progress { accent-color: var(--accent); height: .8rem; vertical-align: middle; width: 9rem; }
details { margin: .3rem 0; } summary { cursor: pointer; }
main > :first-child { margin-top: 1rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
input, button { background: var(--back); border: 1px solid var(--line); border-radius: 4px; color: inherit; font: inherit; padding: .2rem .6rem; }
input[name=q] { width: min(22rem, 100%); }
.ranges { display: flex; gap: .7rem; margin-left: .5rem; }
.ranges b { font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; font-size: .85rem; gap: .2rem 1rem; margin: .7rem 0; }
.key { align-items: center; display: inline-flex; gap: .35rem; } .key svg { height: .8rem; width: .8rem; }
.timeline { align-items: center; display: grid; grid-template-columns: minmax(7rem, 21rem) 1fr; }
.timeline > svg { border-bottom: 1px solid var(--line); display: block; width: 100%; }
.timeline > div { min-width: 0; }
.stream { border-bottom: 1px solid var(--line); align-self: stretch; align-items: center; display: flex; gap: .5rem; font-size: .85rem; padding-right: .8rem; }
.stream span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.stream small { margin-left: auto; }
.axis-name { color: var(--quiet); font-size: .8rem; padding-right: .8rem; text-align: right; }
.axis { height: 1.4rem; position: relative; }
.axis span { border-left: 1px solid var(--line); color: var(--quiet); font-size: .8rem; padding-left: .3rem; position: absolute; white-space: nowrap; }
svg line { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
svg .r0 { --hue: 212; } svg .r1 { --hue: 152; } svg .r2 { --hue: 32; }
svg .l1 { fill: hsl(var(--hue) 62% var(--l1)); } svg .l2 { fill: hsl(var(--hue) 62% var(--l2)); }
svg .l3 { fill: hsl(var(--hue) 62% var(--l3)); } svg .l4 { fill: hsl(var(--hue) 62% var(--l4)); }
svg .l5 { fill: hsl(var(--hue) 62% var(--l5)); }
svg .deleted { opacity: .35; }
svg .alone { stroke: var(--text); stroke-dasharray: 2 2; stroke-width: 1; vector-effect: non-scaling-stroke; }
svg .faulty { stroke: var(--bad); stroke-width: 2; vector-effect: non-scaling-stroke; }
@media (max-width: 40rem) { .timeline { grid-template-columns: 6rem 1fr; } }
`);
