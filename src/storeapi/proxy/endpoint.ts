import type { Labels } from '#/model/labels.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { Store } from '../store.ts';

/** One store behind the proxy. */
export interface ProxyEndpoint {
  /** What messages show and `__address__` selects. */
  readonly address: string;
  /** A store in this process: it has no address to select. */
  readonly isLocal?: boolean;
  readonly store: Store;
  /** Whether it can have series for these matchers, where it knows more than its label sets. */
  readonly mayMatch?: (matchers: readonly Matcher[]) => boolean;
  /** Why it cannot be asked although it should be there. Its part of an answer is missing then. */
  readonly lost?: string;
}

/** The label sets, of those given, whose TSDBs may be read. */
export type TsdbSelector = (labelSets: readonly Labels[]) => readonly Labels[];
