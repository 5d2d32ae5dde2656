import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

/** Modules by layer, lowest first. A module imports only modules of lower layers, and its own files. */
const layers = [
  ['lib'],
  ['model'],
  ['config', 'telemetry', 'proto'],
  ['storage', 'http', 'grpc'],
  ['tsdb', 'promql', 'dedup', 'objstore', 'cache', 'discovery'],
  ['blocks', 'downsample'],
  ['storeapi'],
  ['query', 'queryfrontend', 'compact', 'rules', 'receive'],
  ['api'],
  ['components'],
  ['cli'],
];

/** Modules that compute and touch nothing outside: they import only each other. */
const core = new Set(['lib', 'model', 'storage', 'tsdb', 'promql', 'dedup', 'downsample']);

/** Packages that the core may use: pure computation, no I/O. */
const corePackages = new Set([
  're2js',
  'snappy',
  '@node-rs/crc32',
  'xxhash-wasm',
  'ulid',
  'lru-cache',
  'fast-check',
]);

/** The effect faces of lib/ and their real implementations: only these reach for Node's I/O and threads. */
const effectFiles = new Set([
  'lib/clock.ts',
  'lib/random.ts',
  'lib/disk.ts',
  'lib/net.ts',
  'lib/worker-pool.ts',
]);

const src = resolve(import.meta.dirname, '../src');
const rank = new Map(layers.flatMap((modules, i) => modules.map((name) => [name, i] as const)));

interface Import {
  readonly from: string;
  readonly target: string;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);
const imports = files.flatMap(importsOf);

test('every file belongs to a module of the table', () => {
  const strays = files.filter((file) => file !== 'main.ts' && !rank.has(moduleOf(file)));
  assert.deepEqual(strays, []);
});

test('imports point to lower layers only', () => {
  const wrong = imports.filter(({ from, target }) => {
    if (from === 'main.ts' || !isFile(target) || moduleOf(from) === moduleOf(target)) return false;
    return rank.get(moduleOf(target))! >= rank.get(moduleOf(from))!;
  });
  assert.deepEqual(wrong.map(print), []);
});

test('modules are entered through their faces', () => {
  const wrong = imports.filter(({ from, target }) => {
    if (!isFile(target) || moduleOf(from) === moduleOf(target)) return false;
    return target.split('/').length > 2;
  });
  assert.deepEqual(wrong.map(print), []);
});

test('the core imports only the core', () => {
  const wrong = imports.filter(({ from, target }) => {
    if (!core.has(moduleOf(from)) || from.endsWith('.test.ts')) return false;
    if (isFile(target)) return !core.has(moduleOf(target));
    return target.startsWith('node:')
      ? !effectFiles.has(from) && !isPureNode(target)
      : !corePackages.has(target);
  });
  assert.deepEqual(wrong.map(print), []);
});

test('nothing below components reaches for the clock, randomness or the file system by itself', () => {
  const forbidden =
    /\bDate\.now\(|\bMath\.random\(|from 'node:(fs|fs\/promises|net|child_process)'/;
  const wrong = files.filter((file) => {
    if (effectFiles.has(file) || file.endsWith('.test.ts') || file === 'main.ts') return false;
    if (rank.get(moduleOf(file))! >= rank.get('components')!) return false;
    return forbidden.test(readFileSync(join(src, file), 'utf8'));
  });
  assert.deepEqual(wrong, []);
});

/** Node modules that only compute. */
function isPureNode(target: string): boolean {
  return [
    'node:buffer',
    'node:crypto',
    'node:stream',
    'node:assert',
    'node:assert/strict',
    'node:zlib',
    'node:util',
    'node:path',
  ].includes(target);
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8');
  const specifiers = text.matchAll(
    /(?:^|\n)(?:import|export)\b[^'";]*?from '([^']+)'|\bimport\('([^']+)'\)/g,
  );
  return Array.from(specifiers, (match) => ({
    from: file,
    target: resolveTarget(file, match[1] ?? match[2]!),
  }));
}

/** A path below src/ for our own files, the bare specifier for everything else. */
function resolveTarget(file: string, specifier: string): string {
  if (specifier.startsWith('#/')) return specifier.slice(2);
  if (specifier.startsWith('.')) return relative(src, resolve(src, dirname(file), specifier));
  return specifier;
}

function isFile(target: string): boolean {
  return target.endsWith('.ts');
}

function moduleOf(file: string): string {
  return file.split('/')[0]!;
}

function print({ from, target }: Import): string {
  return `${from} -> ${target}`;
}
