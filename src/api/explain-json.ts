import { printMatcher } from '#/model/matcher.ts';
import { formatGoDuration } from '#/model/time.ts';
import type { OperatorAnalysis } from '#/promql/analysis.ts';
import type { ExplainedNode, ExplainedTree, Explanation } from '#/promql/explain.ts';
import { storageChoice } from '#/query/aggregates.ts';
import type { SelectRequest, SourceReport } from '#/storage/queryable.ts';

/**
 * Thanos's tree of names and children (ExplainOutputNode in promql-engine), with more members: where
 * in the query a node comes from, the steps it is evaluated at, what it asks of storage, and at the
 * top the logical plan before and behind the passes.
 */
export function explanationJson(explanation: Explanation, maxResolutionMs: number): object {
  const { tree, logicalPlan, optimizedPlan, passes } = explanation;
  return { ...treeJson(tree, maxResolutionMs), logicalPlan, optimizedPlan, passes };
}

function treeJson(node: ExplainedTree, maxResolutionMs: number): object {
  const children = node.children.map((child) => treeJson(child, maxResolutionMs));
  const { name, position, grid, request } = node;
  return {
    name,
    ...nonEmpty({ children }),
    position,
    steps: { start: grid.startMs, step: grid.stepMs, count: grid.steps },
    ...(request === undefined ? {} : { select: selectJson(request, maxResolutionMs) }),
  };
}

/** Times are milliseconds. */
function selectJson({ matchers, mint, maxt, hints }: SelectRequest, maxResolutionMs: number) {
  const { func, grouping, limit, stepMs, rangeMs } = hints;
  return {
    matchers: `{${matchers.map(printMatcher).join(',')}}`,
    minTime: mint,
    maxTime: maxt,
    step: stepMs,
    range: rangeMs,
    ...nonEmpty({ func, limit }),
    ...(grouping === undefined ? {} : { [grouping.by ? 'by' : 'without']: grouping.labels }),
    ...storageChoice(hints, maxResolutionMs),
  };
}

/**
 * Thanos's tree of an analysis (queryTelemetry in pkg/api/query/v1.go), its members of 0 left out,
 * with more: the operator's own time, its series and bytes, where in the query it comes from, and at
 * the top the most bytes that the whole query held at once.
 */
export function analysisJson(analysis: OperatorAnalysis, peakBytes: number): object {
  return { ...operatorJson(analysis), peakBytes };
}

/** `bytes` are what the operator held itself at its peak, and what endpoints sent for it. */
function operatorJson(analysis: OperatorAnalysis): object {
  const { name, totalMs, selfMs, series, totalSamples, peakSamples, sources, children } = analysis;
  const { position }: ExplainedNode = analysis;
  return {
    name,
    executionTime: formatGoDuration(totalMs),
    ...nonEmpty({
      peakSamples,
      totalSamples,
      fanout: sources.map(sourceJson),
      children: children.map(operatorJson),
    }),
    selfTime: formatGoDuration(selfMs),
    series,
    bytes: sources.reduce((sum, { bytes }) => sum + bytes, analysis.peakBytes),
    position,
  };
}

function sourceJson({ address, durationMs, bytes, responses, ...counts }: SourceReport) {
  const { series, chunks, samples } = counts;
  return {
    endpointAddr: address,
    duration: formatGoDuration(durationMs),
    ...nonEmpty({ bytesProcessed: bytes, numResponses: responses, series, chunks, samples }),
  };
}

/** Without zeros and what is empty, as Go's `omitempty` leaves them out. */
function nonEmpty(members: Readonly<Record<string, number | string | readonly unknown[]>>): object {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) =>
      typeof value === 'number' ? value !== 0 : value.length > 0,
    ),
  );
}
