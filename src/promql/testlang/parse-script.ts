import { BadInputError } from '#/lib/errors.ts';
import { parseDuration } from '#/model/time.ts';
import type { Labels } from '#/model/labels.ts';
import type { Command, LoadCommand, LoadedSeries } from './commands.ts';
import { parseEval } from './parse-eval.ts';
import { ScriptLines } from './script-lines.ts';
import { parseSeries, parseSeriesName } from './series-line.ts';
import { isStartTimesLine, parseStartOffsets } from './start-times.ts';

/**
 * Parses a script of Prometheus's PromQL test language (promql/promqltest there), old forms of its
 * commands included.
 * @throws BadInputError with file and line.
 */
export function parseScript(text: string, file: string): Command[] {
  const lines = new ScriptLines(text, file);
  const commands: Command[] = [];
  for (let line = lines.nextBlock(); line !== undefined; line = lines.nextBlock()) {
    const head = line;
    commands.push(lines.located(() => parseCommand(head, lines)));
  }
  return commands;
}

function parseCommand(head: string, lines: ScriptLines): Command {
  const word = /^\S+/.exec(head)![0].toLowerCase();
  if (word === 'clear') return { kind: 'clear', line: lines.number };
  if (word.startsWith('load')) return parseLoad(head, lines);
  if (word.startsWith('eval')) return parseEval(head, lines);
  throw new BadInputError(`invalid command "${head}"; want load, clear or eval`);
}

function parseLoad(head: string, lines: ScriptLines): LoadCommand {
  const line = lines.number;
  const match = /^load(_with_nhcb)?\s+(\S.*)$/i.exec(head);
  if (match === null) {
    throw new BadInputError('invalid load command. (load[_with_nhcb] <step:duration>)');
  }
  const stepMs = parseDuration(match[2]!);
  const series = parseLoadedSeries(lines);
  return { kind: 'load', line, stepMs, withNhcb: match[1] !== undefined, series };
}

function parseLoadedSeries(lines: ScriptLines): LoadedSeries[] {
  const byLabels = new Map<string, LoadedSeries>();
  let start: { labels: Labels; offsets: (number | undefined)[] } | undefined;
  for (let line = lines.nextOfBlock(); line !== undefined; line = lines.nextOfBlock()) {
    if (isStartTimesLine(line)) {
      const { labels, rest } = parseSeriesName(line);
      start = { labels, offsets: parseStartOffsets(rest.replace(/^@st/, '')) };
      continue;
    }
    const { labels, values } = parseSeries(line);
    if (start !== undefined && !start.labels.equals(labels)) {
      throw new BadInputError('@st metric does not match the following sample line metric');
    }
    if (start !== undefined && start.offsets.length !== values.length) {
      throw new BadInputError(
        `@st line has ${start.offsets.length} values but sample line has ${values.length}`,
      );
    }
    byLabels.set(labels.key, { labels, values, startOffsetsMs: start?.offsets });
    start = undefined;
  }
  if (start !== undefined) throw new BadInputError('@st line has no following sample line');
  return [...byLabels.values()];
}
