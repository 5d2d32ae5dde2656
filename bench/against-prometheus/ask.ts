import { request } from 'node:http';

export interface Reply {
  readonly milliseconds: number;
  readonly body: Buffer;
}

/** Sends a GET and reads the whole answer. @throws Error unless the status is 200. */
export function ask(url: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const sent = request(url, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () => {
        const milliseconds = performance.now() - start;
        const body = Buffer.concat(pieces);
        if (response.statusCode === 200) resolve({ milliseconds, body });
        else reject(new Error(`GET ${url}: ${response.statusCode} ${body.toString()}`));
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}
