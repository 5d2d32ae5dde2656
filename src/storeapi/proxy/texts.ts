import type { ProxyEndpoint } from './endpoint.ts';

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

/** The pattern that matches exactly `text`. */
export function quoteMeta(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
