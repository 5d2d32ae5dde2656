import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document, Node, Pair, YAMLError } from 'yaml';
import * as v from 'valibot';
import { BadInputError } from '#/lib/errors.ts';
import { nearest } from '#/lib/nearest.ts';
import { keysAt } from './yaml/keys.ts';

type Schema = v.GenericSchema;
type Path = readonly (string | number)[];

interface Fault {
  readonly path: Path;
  /** Whether the fault is the key at the end of `path`, not its value. */
  readonly atKey: boolean;
  /** Whether a key is missing: told last, since another key may be it with a typo. */
  readonly isAbsence?: boolean;
  readonly text: string;
}

/**
 * Reads a configuration text (YAML 1.1 with merge keys, so JSON too) into the value that `schema`
 * describes. As in Go's decoder a key without a value counts as absent, and a number or boolean
 * where the schema wants a string is taken as it is written.
 *
 * `source` opens every message: the flag or file that the text came from.
 * @throws BadInputError naming line, column, the key, what was found and what was expected.
 */
export function parseYaml<S extends Schema>(
  source: string,
  text: string,
  schema: S,
): v.InferOutput<S> {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: '1.1',
    merge: true,
    lineCounter: lines,
    prettyErrors: false,
  });
  const syntax = document.errors[0];
  if (syntax !== undefined) throw new BadInputError(`${source}: ${describeSyntax(syntax, lines)}`);

  let parsed = v.safeParse(schema, toPlain(document));
  if (!parsed.success && useSourceTexts(document, parsed.issues)) {
    parsed = v.safeParse(schema, toPlain(document));
  }
  if (parsed.success) return parsed.output;

  const found = parsed.issues
    .map((issue) => faultOf(schema, issue))
    .map((fault) => ({ fault, offset: offsetOf(document, fault) }))
    .sort(
      (a, b) =>
        Number(a.fault.isAbsence ?? false) - Number(b.fault.isAbsence ?? false) ||
        a.offset - b.offset ||
        Number(b.fault.atKey) - Number(a.fault.atKey),
    )[0]!;
  throw new BadInputError(`${source}: ${position(lines, found.offset)}: ${found.fault.text}`);
}

const REFERENCE = /\$\(([a-zA-Z_0-9]+)\)/g;

/**
 * Replaces every `$(NAME)` by the value of that environment variable, before the text is parsed.
 * @throws BadInputError if a variable is not set.
 */
export function expandEnvironment(
  source: string,
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  return text.replace(REFERENCE, (reference, name: string) => {
    const value = environment[name];
    if (value === undefined) {
      throw new BadInputError(
        `${source}: ${reference} refers to the environment variable ${name}, which is not set`,
      );
    }
    return value;
  });
}

/** The document as plain values, without the keys that have no value. */
function toPlain(document: Document): unknown {
  return document.toJS({
    reviver: (_key: unknown, value: unknown) => (value === null ? undefined : value),
  }) as unknown;
}

/**
 * Gives numbers and booleans that should have been strings the text they were written with
 * (`0123` stays `0123`). Says whether anything changed.
 */
function useSourceTexts(document: Document, issues: readonly v.BaseIssue<unknown>[]): boolean {
  let changed = false;
  for (const issue of issues) {
    if (issue.expected !== 'string') continue;
    const node = nodeAt(document, pathOf(issue));
    if (!isScalar(node) || typeof node.value === 'string' || node.source === undefined) continue;
    if (node.value === null) continue;
    node.value = node.source;
    changed = true;
  }
  return changed;
}

function faultOf(schema: Schema, issue: v.BaseIssue<unknown>): Fault {
  const path = pathOf(issue);
  const key = String(path.at(-1) ?? '');
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    const container = issue.path?.at(-1)?.input;
    if (Array.isArray(container)) return listForMapping(path.slice(0, -1));
    const known = keysAt(schema, path.slice(0, -1));
    const guess = nearest(key, known);
    const hint =
      guess === undefined ? `; known keys: ${known.join(', ')}` : `; did you mean "${guess}"?`;
    return { path, atKey: true, text: `unknown key "${key}"${hint}` };
  }
  if (isMissingKey(issue)) {
    return { path: path.slice(0, -1), atKey: false, isAbsence: true, text: `"${key}" is missing` };
  }
  const subject = path.length === 0 ? '' : `"${path.join('.')}" `;
  // A check of a whole mapping says itself what is wrong in it.
  const isWhole = issue.kind !== 'schema' && typeof issue.input === 'object';
  if (isWhole) return { path, atKey: false, text: issue.message };
  const got = describeValue(issue.input);
  const text =
    issue.kind === 'schema'
      ? `${subject}is ${got}; want ${wanted(issue.expected)}`
      : `${subject}is ${got}: ${issue.message}`;
  return { path, atKey: false, text };
}

/** To valibot a list is an object whose keys are its indexes. */
function listForMapping(path: Path): Fault {
  const subject = path.length === 0 ? '' : `"${path.join('.')}" `;
  return { path, atKey: false, text: `${subject}is a list; want ${wanted('Object')}` };
}

function isMissingKey(issue: v.BaseIssue<unknown>): boolean {
  return issue.kind === 'schema' && issue.received === 'undefined' && (issue.path?.length ?? 0) > 0;
}

/** The names of valibot's types in the words of a configuration file. */
function wanted(expected: string | null): string {
  switch (expected) {
    case 'string':
      return 'a text';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'true or false';
    case 'Object':
      return 'a mapping of keys to values';
    case 'Array':
      return 'a list';
    default:
      return (expected ?? 'another value').replaceAll(' | ', ' or ').replaceAll(/[()]/g, '');
  }
}

function describeValue(input: unknown): string {
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object' && input !== null) return 'a mapping';
  if (input === undefined || input === null) return 'empty';
  return typeof input === 'string' ? JSON.stringify(input) : String(input as number | boolean);
}

function pathOf(issue: v.BaseIssue<unknown>): Path {
  return (issue.path ?? []).map((item) => item.key as string | number);
}

function offsetOf(document: Document, { path, atKey }: Fault): number {
  if (atKey) {
    const key = pairAt(document, path)?.key;
    if (key !== undefined) return startOf(key as Node);
  }
  return startOf(nodeAt(document, path) ?? document.contents);
}

function startOf(node: Node | null | undefined): number {
  return node?.range?.[0] ?? 0;
}

function nodeAt(document: Document, path: Path): Node | undefined {
  let node: unknown = document.contents;
  for (const step of path) {
    node = resolve(document, node);
    node = isSeq(node) ? node.items[Number(step)] : findPair(document, node, step)?.value;
  }
  return resolve(document, node) as Node | undefined;
}

function pairAt(document: Document, path: Path): Pair | undefined {
  return findPair(document, nodeAt(document, path.slice(0, -1)), path.at(-1)!);
}

/** The pair of a key, or that of the merge key (`<<`) which may have brought it in. */
function findPair(document: Document, node: unknown, step: string | number): Pair | undefined {
  if (!isMap(node)) return undefined;
  const named = node.items.find(
    (pair) => isScalar(pair.key) && String(pair.key.value) === String(step),
  );
  if (named !== undefined) return named;
  let merged: Pair | undefined;
  for (const pair of node.items) {
    if (!isScalar(pair.key) || String(pair.key.value) !== '<<') continue;
    const sources = isSeq(pair.value) ? pair.value.items : [pair.value];
    for (const source of sources) merged ??= findPair(document, resolve(document, source), step);
  }
  return merged;
}

function resolve(document: Document, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

function describeSyntax(error: YAMLError, lines: LineCounter): string {
  const text = error.message.trim().split('\n')[0]!;
  return `${position(lines, error.pos[0])}: not valid YAML: ${text}`;
}

function position(lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `line ${Math.max(1, line)}, column ${Math.max(1, col)}`;
}
