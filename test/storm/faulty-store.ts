import { componentCommand } from '#/cli/command.ts';
import { plannedStoreFlags, storeConfig, storeFlags } from '#/cli/commands/store.ts';
import { runStore } from '#/components/store.ts';
import { stormDisk } from './storm-disk.ts';
import { Weather } from './weather.ts';

// `node test/storm/faulty-store.ts SEED PHASE_MS DIRECTORY FLAGS...`: a store gateway on a disk
// whose files below DIRECTORY the weather gets at, from the first SIGUSR2 to the second.
const [seed = '', phaseMs = '', directory = '', ...args] = process.argv.slice(2);
const weather = new Weather(Number(seed), Number(phaseMs));
let storms = false;
process.on('SIGUSR2', () => {
  storms = !storms;
  if (storms) weather.start(Date.now());
  else weather.end();
});
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
const disk = stormDisk(directory, weather);
const store = componentCommand(
  { name: 'store', summary: '', flags: storeFlags, planned: plannedStoreFlags },
  (values, runtime) => runStore(storeConfig(values), { ...runtime, disk }),
);
process.exitCode = await store.run(args, stop.signal);
