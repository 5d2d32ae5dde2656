import { compileRelabeling } from '#/model/relabel.ts';
import type { RelabelConfig, Relabeling } from '#/model/relabel.ts';
import { compileDeletion } from '#/tsdb/series-deletion.ts';
import type { PlainDeletion, SeriesDeletion } from '#/tsdb/series-deletion.ts';

/**
 * What is to be done to the series of a block: they are relabeled, and then deletions see their new
 * labels. Plain values, which can go to another thread.
 */
export interface SeriesEdits {
  readonly relabeling: readonly RelabelConfig[];
  /** Of the block's own labels (`deletionWithin`). */
  readonly deletions: readonly PlainDeletion[];
}

export interface CompiledEdits {
  /** `undefined` if labels stay as they are. */
  readonly relabeling: Relabeling | undefined;
  readonly deletions: readonly SeriesDeletion[];
}

/** @throws BadInputError for a pattern or a relabeling rule that makes no sense. */
export function compileEdits({ relabeling, deletions }: SeriesEdits): CompiledEdits {
  return {
    relabeling: relabeling.length === 0 ? undefined : compileRelabeling(relabeling),
    deletions: deletions.map(compileDeletion),
  };
}
