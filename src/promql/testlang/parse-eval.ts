import { BadInputError } from '#/lib/errors.ts';
import { parseDuration } from '#/model/time.ts';
import { unquote } from '../parser/literals.ts';
import { scanRawString, scanString } from '../parser/scan-string.ts';
import type { EvalCommand, Expectations, ExpectedSeries, Steps, TextPattern } from './commands.ts';
import { parseSignedNumber } from './number.ts';
import type { ScriptLines } from './script-lines.ts';
import { parseSeries } from './series-line.ts';
import { anyText, containing, exactly } from './text-pattern.ts';

const INSTANT = /^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$/;
const RANGE =
  /^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$/;
const EXPECT = /^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$/;
const EXPECT_RANGE = /^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$/;

/** Parses an `eval` command with the expectations below it. */
export function parseEval(head: string, lines: ScriptLines): EvalCommand {
  const line = lines.number;
  const { form, text, timeMs, steps } = parseHead(head);
  const expected = new ExpectationsBuilder(form);
  for (let next = lines.nextOfBlock(); next !== undefined; next = lines.nextOfBlock()) {
    if (!expected.add(next)) break;
  }
  expected.check(timeMs !== undefined);
  const alsoAsRange = timeMs !== undefined && expected.steps === undefined && !expected.isString;
  return {
    kind: 'eval',
    line,
    text,
    timeMs: timeMs === undefined ? undefined : (expected.steps?.endMs ?? timeMs),
    steps: expected.steps ?? steps,
    alsoAsRange,
    expected: expected.built(),
  };
}

interface Head {
  /** `fail`, `warn` … of the old commands `eval_fail`, `eval_warn` … */
  readonly form: string | undefined;
  readonly text: string;
  readonly timeMs: number | undefined;
  readonly steps: Steps;
}

function parseHead(head: string): Head {
  const instant = INSTANT.exec(head);
  if (instant !== null) {
    const timeMs = parseDuration(instant[2] ?? '');
    const steps = { startMs: timeMs, endMs: timeMs, stepMs: 0 };
    return { form: instant[1], text: instant[3]!, timeMs, steps };
  }
  const range = RANGE.exec(head);
  if (range === null) {
    throw new BadInputError(
      'invalid evaluation command; want `eval instant at <time> <query>` or `eval range from <from> to <to> step <step> <query>`',
    );
  }
  const steps = parseSteps(range.slice(2, 5));
  return { form: range[1], text: range[5]!, timeMs: undefined, steps };
}

function parseSteps(texts: readonly string[]): Steps {
  const [startMs, endMs, stepMs] = texts.map(parseDuration);
  if (endMs! < startMs!) {
    throw new BadInputError(`the end ${texts[1]} is before the start ${texts[0]}`);
  }
  return { startMs: startMs!, endMs: endMs!, stepMs: stepMs! };
}

class ExpectationsBuilder {
  /** Of `expect range vector`. */
  steps: Steps | undefined;
  readonly #patterns = new Map<string, TextPattern[]>();
  readonly #series = new Map<string, ExpectedSeries>();
  #string: string | undefined;
  #scalar: number | undefined;

  constructor(form: string | undefined) {
    if (form !== undefined) this.#patterns.set(form, [anyText]);
  }

  get isString(): boolean {
    return this.#string !== undefined;
  }

  /** Takes a line; false when it must be the last one. */
  add(line: string): boolean {
    const range = EXPECT_RANGE.exec(line);
    if (range !== null) {
      this.steps = parseSteps(range.slice(1));
      return true;
    }
    if (line.startsWith('expect string')) {
      this.#string = parseString(line.slice('expect string'.length).trim());
      return true;
    }
    if (line.startsWith('expect ')) {
      this.#addPattern(line);
      return true;
    }
    const old = /^expected_fail_(message|regexp)\s*(.*)$/.exec(line);
    if (old !== null && this.#patterns.has('fail')) {
      const pattern = old[1] === 'message' ? exactly(old[2]!) : containing(old[2]!);
      this.#patterns.get('fail')!.push(pattern);
      return false;
    }
    this.#scalar = parseSignedNumber(line);
    if (this.#scalar !== undefined) return false;
    const { labels, values } = parseSeries(line);
    this.#series.set(labels.key, { labels, values, position: this.#series.size + 1 });
    return true;
  }

  #addPattern(line: string): void {
    const match = EXPECT.exec(line);
    if (match === null) {
      throw new BadInputError(
        'invalid expect statement, must match `expect <type> <match_type>: <string>` format',
      );
    }
    const [, type, how, text = ''] = match;
    const patterns = this.#patterns.get(type!) ?? [];
    if (how === undefined) patterns.push(anyText);
    else patterns.push(how === 'msg' ? exactly(text.trim()) : containing(text.trim()));
    this.#patterns.set(type!, patterns);
  }

  check(isInstant: boolean): void {
    for (const type of ['info', 'warn']) {
      if (this.#patterns.has(type) && this.#patterns.has(`no_${type}`)) {
        throw new BadInputError(
          `invalid expect lines, ${type} and no_${type} cannot be used together`,
        );
      }
    }
    const isLong = this.#series.values().some(({ values }) => values.length > 1);
    if (isInstant && isLong && this.steps === undefined) {
      throw new BadInputError(
        "expecting multiple values in instant evaluation not allowed. consider using 'expect range vector' directive to enable a range vector result for an instant query",
      );
    }
  }

  built(): Expectations {
    return {
      fail: this.#patterns.get('fail'),
      warnings: this.#patterns.get('warn') ?? [],
      infos: this.#patterns.get('info') ?? [],
      noWarnings: this.#patterns.has('no_warn'),
      noInfos: this.#patterns.has('no_info'),
      ordered: this.#patterns.has('ordered'),
      string: this.#string,
      scalar: this.#scalar,
      series: this.#series,
    };
  }
}

function parseString(token: string): string {
  const scan = token.startsWith('`') ? scanRawString : scanString;
  if (!/^["`']/.test(token) || scan(token, 0) !== token.length) {
    throw new BadInputError(
      'expected string literal not valid - check that the string is correctly quoted',
    );
  }
  return unquote(token);
}
