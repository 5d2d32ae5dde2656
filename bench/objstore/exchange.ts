import { request } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';

/** One request of plain HTTP. @throws if the answer is no success. */
export function exchange(
  url: string,
  { headers, ...options }: RequestOptions,
  body?: Uint8Array,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { ...options, ...(headers === undefined ? {} : { headers }) });
    outgoing.once('error', reject).once('response', (answer) => {
      const status = answer.statusCode ?? 0;
      if (status >= 200 && status < 300) resolve(answer);
      else reject(new Error(`${url} answered ${status}`));
    });
    outgoing.end(body);
  });
}
