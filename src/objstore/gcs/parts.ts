import type { History } from '../remote/attempts.ts';
import type { Part, PartsUpload } from '../remote/service.ts';
import { readText } from './transport.ts';
import type { GcsTransport } from './transport.ts';

/** A server that keeps taking nothing is asked again later. */
class NoProgress extends Error {
  override readonly name = 'TimeoutError';
}

/**
 * A resumable upload: parts go to the session's own URL one after the other, each a multiple of
 * 256 KiB but the last, whose arrival makes the object. The server says how far it got: it may keep
 * less than it was sent.
 * Protocol: https://cloud.google.com/storage/docs/performing-resumable-uploads
 */
export class ResumableUpload implements PartsUpload {
  readonly #transport: GcsTransport;
  readonly #url: string;

  constructor(transport: GcsTransport, url: string) {
    this.#transport = transport;
    this.#url = url;
  }

  async send(part: Part, { ambiguous }: History, signal: AbortSignal): Promise<void> {
    const end = part.offset + part.bytes.length;
    const total = part.isLast ? String(end) : '*';
    const kept = ambiguous ? await this.#put(`bytes */${total}`, [], signal) : part.offset;
    let start: number | 'all' = kept;
    while (start !== 'all' && start < end) {
      const range = `bytes ${start}-${end - 1}/${total}`;
      const reached: number | 'all' = await this.#put(
        range,
        [part.bytes.subarray(start - part.offset)],
        signal,
      );
      if (reached !== 'all' && reached <= start) {
        throw new NoProgress(`the server kept nothing of ${end - start} bytes`);
      }
      start = reached;
    }
    if (part.isLast && start !== 'all') {
      throw new NoProgress(`the server has all ${end} bytes and does not finish`);
    }
  }

  /** The last part made the object. */
  finish(): Promise<void> {
    return Promise.resolve();
  }

  isFinished(): Promise<boolean> {
    return Promise.resolve(false);
  }

  /** The answer to it is 499. */
  async abort(signal: AbortSignal): Promise<void> {
    const request = { method: 'DELETE', url: this.#url, expected: [499, 404, 410] } as const;
    await readText(await this.#transport.send(request, signal));
  }

  /** How many bytes the server has then, or that the object is made. */
  async #put(
    range: string,
    body: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<number | 'all'> {
    const response = await this.#transport.send(
      {
        method: 'PUT',
        url: this.#url,
        headers: { 'content-range': range },
        body,
        expected: [308],
      },
      signal,
    );
    await readText(response);
    if (response.statusCode !== 308) return 'all';
    const last = /^bytes=0-(\d+)$/.exec(response.headers.range ?? '')?.[1];
    return last === undefined ? 0 : Number(last) + 1;
  }
}
