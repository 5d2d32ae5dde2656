import type { ProxyEndpoint } from '../proxy-store.ts';

/** How messages name an endpoint, as Thanos words it. */
export function describeEndpoint({ address, store }: ProxyEndpoint): string {
  const { mint, maxt } = store.info();
  return `Addr: ${address} MinTime: ${int64Text(mint)} MaxTime: ${int64Text(maxt)}`;
}

/** The external labels of an endpoint, as messages begin with them. */
export function describeLabelSets({ store }: ProxyEndpoint): string {
  const texts = store.info().labelSets.map((labels) => labels.toString());
  return texts.length === 0 ? 'Store Gateway' : texts.sort().join(',');
}

/** The ends of time lie beyond what a number holds exactly. */
function int64Text(time: number): string {
  if (time >= 2 ** 63) return '9223372036854775807';
  return BigInt(Math.trunc(time)).toString();
}

/** A duration as Go prints it: `1m30s`, `1.5s`, `500ms`. */
export function goDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const seconds = ms / 1000;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = `${Number((seconds % 60).toFixed(3))}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}

/** The pattern that matches exactly `text`. */
export function quoteMeta(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
