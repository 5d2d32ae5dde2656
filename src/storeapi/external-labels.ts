import { compareUtf8 } from '#/lib/utf8.ts';
import { Labels } from '#/model/labels.ts';

/**
 * Turns a source's labels (`[name, value, …]`) into those that the StoreAPI answers with: overridden
 * by `external` labels, without the replica labels `without`. One function serves a whole answer.
 */
export function labelCompleter(
  external: Labels,
  without: readonly string[],
): (labels: readonly string[]) => Labels {
  const dropped = new Set(without);
  const added = external.without(dropped);
  const overridden = new Set([...dropped, ...Array.from(external, ({ name }) => name)]);
  return (labels) => {
    if (!isSorted(labels)) return completeUnsorted(labels, added, overridden);
    const merged: string[] = [];
    let at = 0;
    for (let i = 0; i < labels.length; i += 2) {
      const name = labels[i]!;
      if (overridden.has(name)) continue;
      for (; at < added.flat.length && compareUtf8(added.flat[at]!, name) < 0; at += 2) {
        merged.push(added.flat[at]!, added.flat[at + 1]!);
      }
      merged.push(name, labels[i + 1]!);
    }
    for (; at < added.flat.length; at++) merged.push(added.flat[at]!);
    return Labels.fromSortedFlat(merged);
  };
}

function isSorted(labels: readonly string[]): boolean {
  for (let i = 2; i < labels.length; i += 2) {
    if (compareUtf8(labels[i - 2]!, labels[i]!) >= 0) return false;
  }
  return true;
}

function completeUnsorted(
  labels: readonly string[],
  added: Labels,
  overridden: ReadonlySet<string>,
): Labels {
  const pairs = [];
  for (let i = 0; i < labels.length; i += 2) {
    pairs.push({ name: labels[i]!, value: labels[i + 1]! });
  }
  return Labels.from(pairs).without(overridden).merge(added);
}
