import { GcsServer } from '../../src/objstore/testing/gcs-server.ts';
import { S3Server } from '../../src/objstore/testing/s3-server.ts';

/*
 * A server of the tests in a process of its own, so that the client's CPU can be told from the
 * server's. `serve.ts s3|gcs` sends its parent the URL.
 */
const server = process.argv[2] === 'gcs' ? await GcsServer.start() : await S3Server.start();
process.send?.(server instanceof GcsServer ? server.url : `http://${server.endpoint}`);
process.once('disconnect', () => process.exit());
