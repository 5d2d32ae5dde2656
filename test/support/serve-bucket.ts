import { REMOTE_PROVIDERS, startBucketServer } from './bucket-servers.ts';

// `node test/support/serve-bucket.ts s3|gcs|azure`: runs a server of that protocol with an empty
// bucket, says in one line of JSON how to reach it, and ends with SIGTERM.
const wanted = process.argv[2];
const provider = REMOTE_PROVIDERS.find((name) => name === wanted);
if (provider === undefined) {
  process.stderr.write(
    `${`found "${wanted ?? ''}", expected one of ${REMOTE_PROVIDERS.join(', ')}`}\n`,
  );
  process.exit(2);
}
const stopped = new Promise<void>((stop) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop());
});
await using server = await startBucketServer(provider);
process.stdout.write(`${JSON.stringify(server.access())}\n`);
await stopped;
