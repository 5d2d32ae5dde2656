import { markup } from './html.ts';

/** One page without dependencies; it talks to the API beside it with relative URLs. */
export function page(links: readonly { readonly href: string; readonly text: string }[]): string {
  const besides = links.map(({ href, text }) => markup`<a href="${href}">${text}</a>`.text);
  return head + besides.join('') + tail;
}

const head = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hindsight</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --accent: #d9480f; }
  body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
  h1 { font-size: 1.2rem; margin: 0 0 1rem; }
  form { display: grid; gap: .5rem; grid-template-columns: 1fr auto auto auto; align-items: center; }
  input, select, button { font: inherit; padding: .35rem .6rem; border: 1px solid var(--line); border-radius: 4px; }
  input[name=query] { font-family: ui-monospace, monospace; }
  button { background: var(--accent); color: #fff; border-color: var(--accent); cursor: pointer; }
  .options { grid-column: 1 / -1; display: flex; gap: 1.5rem; }
  .note { border-left: 4px solid var(--accent); margin: 1rem 0; padding: .3rem .8rem; white-space: pre-wrap; }
  svg { border: 1px solid var(--line); border-radius: 4px; height: 20rem; margin-top: 1rem; width: 100%; }
  svg text { fill: currentColor; font-size: 12px; }
  table { border-collapse: collapse; margin-top: 1rem; width: 100%; }
  td { border-top: 1px solid var(--line); font-family: ui-monospace, monospace; font-size: .85rem; padding: .2rem .5rem; word-break: break-all; }
  td:last-child { text-align: right; white-space: nowrap; }
  .swatch { border-radius: 2px; display: inline-block; height: .7em; margin-right: .5em; width: .7em; }
</style>
</head>
<body>
<h1>Hindsight</h1>
<form>
  <input name="query" aria-label="PromQL expression" placeholder="PromQL expression" autofocus required>
  <select name="range" aria-label="Range">
    <option value="900">15 minutes</option><option value="3600" selected>1 hour</option>
    <option value="21600">6 hours</option><option value="86400">1 day</option>
    <option value="604800">1 week</option><option value="2592000">30 days</option>
  </select>
  <input name="end" type="datetime-local" step="1" aria-label="End, now if empty">
  <button>Run</button>
  <span class="options">
    <label><input type="checkbox" name="dedup" checked> remove duplicates of replicas</label>
    <label><input type="checkbox" name="partial_response" checked> allow partial answers</label>
    <a href="api/v1/stores">endpoints</a><a href="metrics">metrics</a>`;

const tail = `
  </span>
</form>
<div id="notes" role="status"></div>
<svg id="graph" viewBox="0 0 1000 320" preserveAspectRatio="none" hidden></svg>
<table id="table"></table>
<script>
const form = document.querySelector('form');
const [notes, graph, table] = ['notes', 'graph', 'table'].map((id) => document.getElementById(id));
const colour = (i) => 'hsl(' + ((i * 137) % 360) + ' 65% 45%)';
const name = ({ __name__ = '', ...labels }) => {
  const pairs = Object.entries(labels).map(([key, value]) => key + '=' + JSON.stringify(value));
  return __name__ + (pairs.length ? '{' + pairs.join(', ') + '}' : '');
};

function note(text) {
  const line = document.createElement('div');
  line.className = 'note';
  line.textContent = text;
  notes.append(line);
}

function draw(series, start, end) {
  const values = series.flatMap((one) => one.values.map((sample) => Number(sample[1]))).filter(Number.isFinite);
  graph.hidden = values.length === 0;
  graph.replaceChildren();
  if (values.length === 0) return;
  let low = Math.min(...values.slice(0, 100000)), high = Math.max(...values.slice(0, 100000));
  if (low === high) { low -= 1; high += 1; }
  const x = (time) => ((time - start) / (end - start)) * 1000;
  const y = (value) => 310 - ((value - low) / (high - low)) * 300;
  series.slice(0, 200).forEach((one, i) => {
    const gap = 3 * Math.max(1, (end - start) / 250);
    let path = '', last = -Infinity;
    for (const [time, text] of one.values) {
      const value = Number(text);
      if (!Number.isFinite(value)) continue;
      path += (time - last > gap ? 'M' : 'L') + x(time).toFixed(1) + ' ' + y(value).toFixed(1);
      last = time;
    }
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    line.setAttribute('d', path);
    line.setAttribute('fill', 'none');
    line.setAttribute('stroke', colour(i));
    line.setAttribute('vector-effect', 'non-scaling-stroke');
    graph.append(line);
  });
  for (const [value, at] of [[high, 14], [low, 318]]) {
    const text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
    text.setAttribute('x', 4); text.setAttribute('y', at);
    text.textContent = value.toPrecision(4);
    graph.append(text);
  }
}

function list(series) {
  table.replaceChildren(...series.slice(0, 1000).map((one, i) => {
    const row = document.createElement('tr');
    const [label, value] = [document.createElement('td'), document.createElement('td')];
    const swatch = document.createElement('span');
    swatch.className = 'swatch';
    swatch.style.background = colour(i);
    label.append(swatch, name(one.metric) || '{}');
    value.textContent = one.values.length ? one.values.at(-1)[1] : 'histogram';
    row.append(label, value);
    return row;
  }));
}

async function run() {
  const input = new FormData(form);
  const end = input.get('end') ? new Date(input.get('end')).getTime() / 1000 : Math.floor(new Date() / 1000);
  const start = end - Number(input.get('range'));
  const step = Math.max(1, Math.floor((end - start) / 250));
  const switches = ['dedup', 'partial_response'].map((key) => [key, String(input.has(key))]);
  const params = new URLSearchParams([['query', input.get('query')], ['start', start], ['end', end], ['step', step], ...switches]);
  notes.replaceChildren();
  history.replaceState(null, '', '?' + new URLSearchParams([['query', input.get('query')], ['range', input.get('range')]]));
  try {
    const answer = await (await fetch('api/v1/query_range', { method: 'POST', body: params })).json();
    if (answer.status !== 'success') throw new Error(answer.error);
    for (const warning of answer.warnings ?? []) note(warning);
    const series = answer.data.result.map(({ metric, values = [] }) => ({ metric, values }));
    if (series.length === 0) note('no data in this range');
    draw(series, start, end);
    list(series);
  } catch (error) {
    note(error.message);
    graph.hidden = true;
    table.replaceChildren();
  }
}

form.addEventListener('submit', (event) => { event.preventDefault(); void run(); });
const given = new URLSearchParams(location.search);
for (const key of ['query', 'range']) if (given.has(key)) form.elements[key].value = given.get(key);
if (given.has('query')) void run();
</script>
</body>
</html>
`;
