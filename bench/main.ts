import { readdir } from 'node:fs/promises';

/*
 * `npm run bench [-- flags]` compares Hindsight with a real Prometheus (against-prometheus.ts);
 * `npm run bench -- NAME [arguments]` runs another file of this directory.
 */
const DEFAULT = 'against-prometheus';
const name = process.argv[2]?.startsWith('-') === false ? process.argv[2] : undefined;
const names = (await readdir(import.meta.dirname))
  .filter((file) => file.endsWith('.ts') && file !== 'main.ts')
  .map((file) => file.slice(0, -'.ts'.length));
if (name !== undefined && !names.includes(name)) {
  process.stderr.write(`bench: unknown benchmark "${name}"; use one of ${names.join(', ')}\n`);
  process.exitCode = 2;
} else {
  // A benchmark finds its own arguments where it finds them when it is started by itself.
  if (name !== undefined) process.argv.splice(2, 1);
  await import(`./${name ?? DEFAULT}.ts`);
}
