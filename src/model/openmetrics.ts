import { BadInputError } from '#/lib/errors.ts';
import { parseGoFloat, plainDecimal } from './openmetrics/float.ts';
import { Scanner } from './openmetrics/scanner.ts';
import {
  METRIC_NAME_TEXT,
  metricTypes,
  parseBraces,
  parseSeries,
  QUOTED_NAME,
} from './openmetrics/series-text.ts';
import type { MetricType } from './openmetrics/series-text.ts';
import type { Labels } from './labels.ts';

/** Takes what a text says. */
export interface OpenMetricsSink {
  /**
   * A number for a series that was not seen since the last `forgetSeries()`. `complain` makes an error
   * with its place.
   */
  series(labels: Labels, complain: (message: string) => Error): number;
  /** Its number, milliseconds, and the line that it is on; NaN may be of any kind. */
  sample(series: number, timeMs: number, value: number, line: number): void;
}

const NEWLINE = 0x0a;
const SPACE = 0x20;
const HASH = 0x23;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

const TOKEN = /[^ \n]+/y;

/**
 * Reads the text format of OpenMetrics as strictly as Prometheus does: one space where there is one, no
 * other comments than HELP, TYPE and UNIT, `# EOF` at the end; every sample must have a timestamp.
 * Exemplars are checked and left out. Lines come in pieces of any size; memory follows the longest line
 * and the texts of the series.
 * Source: model/textparse/openmetricslex.l and openmetricsparse.go in Prometheus.
 */
export class OpenMetricsParser {
  readonly #source: string;
  readonly #sink: OpenMetricsSink;
  /** Of lines that are not whole yet. */
  #carry: Uint8Array = new Uint8Array();
  #line = 0;
  #type: MetricType | undefined;
  #isOver = false;
  /** Numbers of series by their texts, byte by byte, as long as no other TYPE may give it another meaning. */
  readonly #series = new Map<string, number>();
  /** The bytes of the last line's series, which the next one often begins with. */
  #last: Uint8Array = new Uint8Array();
  #lastSeries = 0;

  /** `source` names the text in errors. */
  constructor(source: string, sink: OpenMetricsSink) {
    this.#source = source;
    this.#sink = sink;
  }

  /** Lines that were read so far. */
  get lines(): number {
    return this.#line;
  }

  /** From here on the sink is asked for the number of every series again. */
  forgetSeries(): void {
    this.#series.clear();
    this.#last = new Uint8Array();
  }

  /** Reads on. @throws BadInputError with file, line and column of what is wrong. */
  feed(piece: Uint8Array): void {
    const bytes = this.#carry.length === 0 ? piece : Buffer.concat([this.#carry, piece]);
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      if (end === -1) break;
      this.#readLine(bytes, start, end);
      start = end + 1;
    }
    this.#carry = bytes.slice(start);
  }

  /** Ends the text. @throws BadInputError unless it ended with `# EOF`. */
  end(): void {
    if (this.#carry.length > 0) {
      const bytes = this.#carry;
      const isMark = Buffer.from(bytes).toString('latin1') === '# EOF';
      if (!isMark && !this.#isOver) {
        this.#line++;
        throw this.#complaint('the text ends within a line; expected a line "# EOF" as the last');
      }
      this.#readLine(bytes, 0, bytes.length);
    }
    if (this.#isOver) return;
    this.#line++;
    throw this.#complaint('found the end, expected a line "# EOF"');
  }

  #readLine(bytes: Uint8Array, start: number, end: number): void {
    this.#line++;
    if (this.#isOver) throw this.#complaint('unexpected data after # EOF');
    const first = bytes[start];
    if (first === HASH) this.#readMeta(this.#scan(bytes, start, end));
    else this.#readSample(bytes, start, end);
  }

  #readSample(bytes: Uint8Array, start: number, end: number): void {
    const seriesEnd = this.#seriesOf(bytes, start, end);
    const valueStart = seriesEnd + 1;
    const valueEnd = tokenEnd(bytes, valueStart, end);
    const timeStart = valueEnd + 1;
    const timeEnd = tokenEnd(bytes, timeStart, end);
    if (bytes[seriesEnd] !== SPACE || seriesEnd >= end || valueEnd === valueStart) {
      throw this.#scan(bytes, start, end, seriesEnd).error('a space and a value');
    }
    const value = this.#number(bytes, { start, end, from: valueStart, to: valueEnd });
    if (valueEnd >= end || timeEnd === timeStart || bytes[timeStart] === HASH) {
      throw this.#scan(bytes, start, end, valueEnd).error('a space and a timestamp in seconds');
    }
    const seconds = this.#number(bytes, { start, end, from: timeStart, to: timeEnd });
    if (!Number.isFinite(seconds)) {
      throw this.#scan(bytes, start, end, timeStart).error('a timestamp in seconds');
    }
    if (timeEnd < end) this.#readExemplar(this.#scan(bytes, start, end, timeEnd));
    this.#sink.sample(this.#lastSeries, Math.trunc(seconds * 1000), value, this.#line);
  }

  /** Finds out which series the line is of; returns where its text ends. */
  #seriesOf(bytes: Uint8Array, start: number, end: number): number {
    const last = this.#last;
    const length = last.length;
    if (length > 0 && bytes[start + length] === SPACE && startsWith(bytes, start, last)) {
      return start + length;
    }
    const seriesEnd = endOfSeries(bytes, start, end);
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, seriesEnd - start);
    const key = text.toString('latin1');
    let series = this.#series.get(key);
    if (series === undefined) {
      const scanner = this.#scan(bytes, start, end);
      const labels = parseSeries(scanner, this.#type);
      series = this.#sink.series(labels, (message) => scanner.complaint(message, 0));
      this.#series.set(key, series);
    }
    this.#last = Uint8Array.from(text);
    this.#lastSeries = series;
    return seriesEnd;
  }

  #number(
    bytes: Uint8Array,
    at: {
      readonly start: number;
      readonly end: number;
      readonly from: number;
      readonly to: number;
    },
  ): number {
    const plain = plainDecimal(bytes, at.from, at.to);
    if (!Number.isNaN(plain)) return plain;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + at.from, at.to - at.from);
    const value = parseGoFloat(text.toString('latin1'));
    if (value !== undefined) return value;
    throw this.#scan(bytes, at.start, at.end, at.from).error('a number');
  }

  /** ` # {label="value"} value [timestamp]`. */
  #readExemplar(scanner: Scanner): void {
    scanner.expect(' # {', 'an exemplar " # {…} value" or the end of the line');
    const at = scanner.position;
    if (parseBraces(scanner, undefined, new Map()) !== undefined) {
      throw scanner.error('labels of an exemplar', at);
    }
    const number = (what: string) => {
      scanner.expect(' ', `a space and ${what}`);
      const from = scanner.position;
      const value = parseGoFloat(scanner.match(TOKEN, what));
      if (value === undefined) throw scanner.error(what, from);
      return { value, from };
    };
    number('the value of the exemplar');
    if (scanner.isAtEnd) return;
    const { value, from } = number('the timestamp of the exemplar');
    if (!Number.isFinite(value)) throw scanner.error('the timestamp of the exemplar', from);
    if (!scanner.isAtEnd) throw scanner.error('the end of the line');
  }

  #readMeta(scanner: Scanner): void {
    scanner.expect('# ');
    if (scanner.accept('EOF')) {
      if (!scanner.isAtEnd) throw scanner.error('the end of the line');
      this.#isOver = true;
      return;
    }
    const kind = ['HELP', 'TYPE', 'UNIT'].find((word) => scanner.accept(`${word} `));
    if (kind === undefined) throw scanner.error('"HELP ", "TYPE ", "UNIT " or "EOF"');
    const name = scanner.sees('"')
      ? scanner.match(QUOTED_NAME, 'a closing quote').slice(1, -1)
      : scanner.match(METRIC_NAME_TEXT, 'a metric name');
    scanner.expect(' ', `a space and the text of ${kind}`);
    const at = scanner.position;
    const text = scanner.isAtEnd ? '' : scanner.match(/[^\n]+/y, 'a text');
    if (kind === 'TYPE') {
      const type = metricTypes.find((known) => known === text);
      if (type === undefined) throw scanner.error(`a type: ${metricTypes.join(', ')}`, at);
      // The same text may stand for another series now: of numbers in labels.
      if (type !== this.#type) this.forgetSeries();
      this.#type = type;
    } else if (kind === 'UNIT' && text !== '' && !name.endsWith(`_${text}`)) {
      throw scanner.error(`a unit that ${name} ends with, after an underscore`, at);
    }
  }

  /** The line as text, to look at more closely from byte `from` on. */
  #scan(bytes: Uint8Array, start: number, end: number, from = start): Scanner {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const where = `${this.#source}:${this.#line}`;
    try {
      const before = decoder.decode(bytes.subarray(start, Math.min(from, end)));
      const scanner = new Scanner(
        before + decoder.decode(bytes.subarray(Math.min(from, end), end)),
        where,
      );
      scanner.position = before.length;
      return scanner;
    } catch (thrown) {
      throw new BadInputError(`${where}:1: the line is no UTF-8`, { cause: thrown });
    }
  }

  #complaint(message: string): BadInputError {
    return new BadInputError(`${this.#source}:${this.#line}:1: ${message}`);
  }
}

function tokenEnd(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return start;
  const space = bytes.indexOf(SPACE, start);
  return space === -1 || space > end ? end : space;
}

function startsWith(bytes: Uint8Array, start: number, prefix: Uint8Array): boolean {
  for (let i = prefix.length - 1; i >= 0; i--) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

/** Up to the first space or the closing brace, outside of quotes. */
function endOfSeries(bytes: Uint8Array, start: number, end: number): number {
  let isInBraces = false;
  let isQuoted = false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (isQuoted) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) isQuoted = false;
    } else if (byte === QUOTE) isQuoted = true;
    else if (byte === OPEN) isInBraces = true;
    else if (byte === CLOSE && isInBraces) return at + 1;
    else if (byte === SPACE && !isInBraces) return at;
  }
  return end;
}
