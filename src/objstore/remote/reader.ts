import { NotFoundError, UnavailableError } from '#/lib/errors.ts';
import type { OperationOptions } from '../bucket.ts';
import { concat } from '../streams.ts';
import type { Attempts } from './attempts.ts';
import { bodyPieces, promisedBytes } from './body.ts';
import type { Checksum } from './checksum.ts';
import type { Requests } from './requests.ts';
import type { Body, ObjectService, Span } from './service.ts';

/** How often an object is read when it arrives with a wrong checksum. */
const MAX_DAMAGED = 3;

/** The bytes arrived in full, and are not those that the provider has. */
class DamagedBody extends UnavailableError {
  readonly checksum: Checksum;
  readonly got: string;

  constructor(name: string, checksum: Checksum, got: string) {
    const { kind, expected } = checksum;
    super(
      `${name} arrived damaged: its ${kind} is ${got}, the provider says ${expected}; read it again`,
    );
    this.checksum = checksum;
    this.got = got;
  }
}

export interface ReadRequest {
  readonly name: string;
  readonly start: number;
  readonly end: number | undefined;
  readonly options: OperationOptions;
}

/** Reads objects of a bucket: goes on where an answer broke off, and checks what arrives. */
export class ObjectReader {
  readonly #service: ObjectService;
  readonly #requests: Requests;

  constructor(service: ObjectService, requests: Requests) {
    this.#service = service;
    this.#requests = requests;
  }

  /** All at once; read anew if it arrives damaged. */
  async read(request: ReadRequest): Promise<Uint8Array> {
    let doubted: string | undefined;
    for (let damaged = 1; ; damaged++) {
      const pieces: Uint8Array[] = [];
      let length = 0;
      try {
        for await (const piece of this.pieces(request)) {
          pieces.push(piece);
          length += piece.length;
        }
        return pieces.length === 1 ? pieces[0]! : concat(pieces, length);
      } catch (thrown) {
        if (!(thrown instanceof DamagedBody)) throw thrown;
        // Bytes that arrive alike twice were not damaged on their way: the guess was wrong.
        if (thrown.checksum.isGuess && thrown.got === doubted) return concat(pieces, length);
        if (damaged >= MAX_DAMAGED) throw thrown;
        doubted = thrown.got;
        this.#requests.metrics.retried('body');
      }
    }
  }

  /** Piece by piece. @throws UnavailableError after the last piece if they turn out to be damaged. */
  async *pieces({ name, start, end, options }: ReadRequest): AsyncGenerator<Uint8Array> {
    const { signal } = options;
    const attempts = this.#requests.readAttempts(`read "${name}"`);
    let at = start;
    let version: string | undefined;
    let checksum: Checksum | undefined;
    for (;;) {
      try {
        const body = await this.#get(name, { start: at, end, version }, options, attempts);
        if (body === undefined) return;
        if (version === undefined && start === 0 && end === undefined) checksum = body.checksum;
        version = body.version;
        for await (const piece of this.#receive(body, { start: at, end, version }, signal)) {
          attempts.progress();
          at += piece.length;
          checksum?.add(piece);
          yield piece;
        }
        break;
      } catch (thrown) {
        await attempts.failed(thrown, signal);
      }
    }
    const got = checksum?.result();
    if (checksum !== undefined && got !== checksum.expected) {
      throw new DamagedBody(`${this.#service.name}/${name}`, checksum, got!);
    }
  }

  /** `undefined` when the object ends before the span. */
  async #get(name: string, span: Span, options: OperationOptions, attempts: Attempts) {
    try {
      const get = (at: AbortSignal) => this.#service.get(name, span, at);
      return await this.#requests.sendRead('get', get, options, {
        patienceMs: attempts.patienceMs,
        hasBody: true,
        discard: (late) => late.stream.destroy(),
      });
    } catch (thrown) {
      switch (this.#requests.meaningOf(thrown)) {
        case 'missing':
          throw new NotFoundError(`${this.#service.name}/${name} does not exist`);
        case 'past the end':
          return undefined;
        case 'condition failed':
          throw new UnavailableError(
            `${this.#service.name}/${name} was replaced while it was read; read it again`,
          );
        case 'upload gone':
        case 'other':
          throw thrown;
      }
    }
  }

  async *#receive(
    body: Body,
    span: Span,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    const { clock, stallMs } = this.#requests;
    try {
      const sizeBytes = promisedBytes(body, span);
      yield* bodyPieces(body, { sizeBytes, clock, stallMs, signal });
      this.#requests.completed();
    } catch (thrown) {
      body.stream.destroy();
      if (signal?.aborted !== true) this.#requests.broken(thrown);
      throw thrown;
    }
  }
}
