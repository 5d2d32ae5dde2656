import { concurrently } from '#/lib/concurrently.ts';
import { NotFoundError, UnavailableError, messageOf } from '#/lib/errors.ts';
import type { Log } from '#/telemetry/logger.ts';
import { ConditionError } from '../bucket.ts';
import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from '../bucket.ts';
import { checkPrefix, compareEntries } from '../names.ts';
import { inParts } from '../streams.ts';
import type { RemoteEffects } from './effects.ts';
import { ObjectReader } from './reader.ts';
import type { ReadRequest } from './reader.ts';
import { Requests } from './requests.ts';
import type { RequestOptions } from './requests.ts';
import type { Condition, ObjectService, Part, PartsUpload } from './service.ts';

/** An object up to this size is compared to find out whether a lost write was ours. */
const COMPARABLE_BYTES = 1024 * 1024;

/**
 * A bucket out of one provider's operations: it retries what may get better, bounds every attempt
 * in time, goes on where a read broke off, cuts large contents into parts, and finds out what a
 * failed condition means after an answer was lost.
 */
export class RemoteBucket implements Bucket {
  readonly name: string;
  readonly #service: ObjectService;
  readonly #requests: Requests;
  readonly #reader: ObjectReader;
  readonly #log: Log;

  constructor(service: ObjectService, options: RequestOptions, effects: RemoteEffects) {
    this.name = service.name;
    this.#service = service;
    this.#requests = new Requests(service, options, effects);
    this.#reader = new ObjectReader(service, this.#requests);
    this.#log = effects.log;
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListEntry> {
    checkPrefix(prefix);
    const { signal, recursive = false } = options;
    let last = '';
    let token: string | undefined;
    do {
      const request = { prefix, recursive, token };
      const page = await this.#requests.retry(`list "${prefix}"`, signal, (_, patienceMs) =>
        this.#requests.send('list', (at) => this.#service.listPage(request, at), options, {
          patienceMs,
        }),
      );
      for (const entry of page.entries.toSorted(compareEntries)) {
        signal?.throwIfAborted();
        // A directory that spans pages may be told by each.
        if (entry.name !== prefix && entry.name !== last) yield entry;
        last = entry.name;
      }
      token = page.next;
    } while (token !== undefined);
  }

  async read(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    const request = readRequest(name, options);
    if (request.start !== request.end) return this.#reader.read(request);
    await this.#checkExists(name, options);
    return new Uint8Array();
  }

  async *readStream(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    const request = readRequest(name, options);
    if (request.start === request.end) await this.#checkExists(name, options);
    else yield* this.#reader.pieces(request);
  }

  async #checkExists(name: string, options: OperationOptions): Promise<void> {
    const found = await this.attributes(name, options);
    if (found === undefined) throw new NotFoundError(`${this.name}/${name} does not exist`);
  }

  attributes(name: string, options: OperationOptions = {}): Promise<ObjectAttributes | undefined> {
    return this.#requests.retry(`look up "${name}"`, options.signal, async (_, patienceMs) => {
      try {
        const head = (at: AbortSignal) => this.#service.head(name, at);
        return await this.#requests.sendRead('head', head, options, { patienceMs });
      } catch (thrown) {
        if (this.#requests.meaningOf(thrown) !== 'missing') throw thrown;
        return undefined;
      }
    });
  }

  async upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: UploadOptions = {},
  ): Promise<void> {
    options.signal?.throwIfAborted();
    const { partBytes, streamPartBytes = partBytes, maxParts } = this.#service;
    if (content instanceof Uint8Array) {
      if (content.length <= partBytes) return this.#put(name, content, options);
      const bytes = Math.max(partBytes, roundUp(Math.ceil(content.length / maxParts)));
      return this.#uploadParts(name, slices(content, bytes), options);
    }
    const parts = inParts(content, streamPartBytes);
    const first = (await parts.next()).value ?? new Uint8Array();
    const second = await parts.next();
    if (second.done === true) return this.#put(name, first, options);
    return this.#uploadParts(name, chain([first, second.value], parts), options);
  }

  async remove(name: string, options: OperationOptions = {}): Promise<void> {
    await this.#requests.retry(`remove "${name}"`, options.signal, async (_, patienceMs) => {
      try {
        const remove = (at: AbortSignal) => this.#service.remove(name, at);
        await this.#requests.send('delete', remove, options, { patienceMs });
      } catch (thrown) {
        if (this.#requests.meaningOf(thrown) !== 'missing') throw thrown;
      }
    });
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    this.#requests.close();
    return this.#service[Symbol.asyncDispose]();
  }

  async #put(name: string, bytes: Uint8Array, options: UploadOptions): Promise<void> {
    await this.#requests.retry(`upload "${name}"`, options.signal, async ({ ambiguous }) => {
      try {
        const put = (at: AbortSignal) => this.#service.put(name, bytes, conditionOf(options), at);
        await this.#requests.send('put', put, options, { sentBytes: bytes.length });
      } catch (thrown) {
        if (!this.#refused(thrown, options)) throw thrown;
        // After a lost answer it may be our own write that is in the way.
        if (ambiguous && (await this.#holds(name, bytes, options))) return;
        throw this.#conditionFailed(name, options);
      }
    });
  }

  async #holds(name: string, bytes: Uint8Array, options: OperationOptions) {
    const found = await this.attributes(name, options);
    if (found?.sizeBytes !== bytes.length || bytes.length > COMPARABLE_BYTES) return false;
    return Buffer.from(bytes).equals(await this.read(name, options));
  }

  async #uploadParts(
    name: string,
    parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: UploadOptions,
  ): Promise<void> {
    const signal = options.signal ?? new AbortController().signal;
    // Better than to learn it when everything is sent.
    if (options.ifAbsent === true && (await this.attributes(name, options)) !== undefined) {
      throw this.#conditionFailed(name, options);
    }
    const { maxParts, parallelParts } = this.#service;
    const upload = await this.#requests.retry(`start the upload of "${name}"`, signal, () =>
      this.#toldApart(name, options, () =>
        this.#requests.send(
          'put',
          (at) => this.#service.startParts(name, conditionOf(options), at),
          options,
        ),
      ),
    );
    try {
      await concurrently(parallelParts, numbered(parts), signal, async (part, inner) => {
        if (part.number > maxParts) throw tooManyParts(name, maxParts);
        await this.#requests.retry(`upload part ${part.number} of "${name}"`, inner, (history) =>
          this.#toldApart(name, options, () =>
            this.#requests.send(
              'put',
              (at) => upload.send(part, history, at),
              { ...options, signal: inner },
              { sentBytes: part.bytes.length },
            ),
          ),
        );
      });
      await this.#finish(name, upload, options);
    } catch (thrown) {
      await this.#abort(name, upload, { ...options, signal: undefined });
      throw thrown;
    }
  }

  async #finish(name: string, upload: PartsUpload, options: UploadOptions) {
    await this.#requests.retry(
      `finish the upload of "${name}"`,
      options.signal,
      async ({ ambiguous }) => {
        try {
          await this.#toldApart(name, options, () =>
            this.#requests.send('put', (at) => upload.finish(at), options),
          );
        } catch (thrown) {
          if (!ambiguous || !(await this.#isFinished(upload, thrown, options))) throw thrown;
        }
      },
    );
  }

  /** Whether it is an earlier attempt to finish, whose answer was lost, that made this one fail. */
  async #isFinished(
    upload: PartsUpload,
    thrown: unknown,
    options: OperationOptions,
  ): Promise<boolean> {
    const mayBe =
      thrown instanceof ConditionError || this.#requests.meaningOf(thrown) === 'upload gone';
    if (!mayBe) return false;
    try {
      return await this.#requests.send('head', (at) => upload.isFinished(at), options);
    } catch (failed) {
      if (this.#requests.meaningOf(failed) !== 'missing') throw failed;
      return false;
    }
  }

  /** @throws ConditionError if that is why `work` failed. */
  async #toldApart<T>(name: string, options: UploadOptions, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      throw this.#refused(thrown, options) ? this.#conditionFailed(name, options) : thrown;
    }
  }

  async #abort(name: string, upload: PartsUpload, options: OperationOptions): Promise<void> {
    try {
      await this.#requests.send('delete', (at) => upload.abort(at), options);
    } catch (thrown) {
      const err = messageOf(thrown);
      this.#log.warn('a failed upload could not be taken back', { object: name, err });
    }
  }

  /** Whether a write failed because of its condition: an object that must not change may be gone. */
  #refused(thrown: unknown, { ifMatch }: UploadOptions): boolean {
    const meaning = this.#requests.meaningOf(thrown);
    return meaning === 'condition failed' || (ifMatch !== undefined && meaning === 'missing');
  }

  #conditionFailed(name: string, { ifMatch }: UploadOptions): ConditionError {
    return new ConditionError(
      ifMatch === undefined
        ? `${this.name}/${name} exists already`
        : `${this.name}/${name} is not version ${ifMatch} any more`,
    );
  }
}

function readRequest(name: string, options: ReadOptions): ReadRequest {
  const { offset = 0, length } = options;
  return { name, start: offset, end: length === undefined ? undefined : offset + length, options };
}

function conditionOf({ ifAbsent, ifMatch }: UploadOptions): Condition {
  if (ifAbsent === true) return { ifAbsent };
  return ifMatch === undefined ? {} : { ifMatch };
}

function tooManyParts(name: string, maxParts: number): UnavailableError {
  return new UnavailableError(`cannot upload "${name}": it has more than ${maxParts} parts`);
}

const PART_STEP_BYTES = 256 * 1024;

/** GCS takes only multiples of this; to others it is all the same. */
export function roundUp(bytes: number): number {
  return Math.ceil(bytes / PART_STEP_BYTES) * PART_STEP_BYTES;
}

function* slices(bytes: Uint8Array, partBytes: number): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += partBytes) {
    yield bytes.subarray(start, start + partBytes);
  }
}

async function* chain<T>(first: readonly T[], rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield* first;
  yield* rest;
}

/** Each part once the next is there, so that the last is known. */
async function* numbered(
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Part> {
  let waiting: Omit<Part, 'isLast'> | undefined;
  for await (const bytes of parts) {
    const next: Omit<Part, 'isLast'> = {
      number: (waiting?.number ?? 0) + 1,
      offset: (waiting?.offset ?? 0) + (waiting?.bytes.length ?? 0),
      bytes,
    };
    if (waiting !== undefined) yield { ...waiting, isLast: false };
    waiting = next;
  }
  if (waiting !== undefined) yield { ...waiting, isLast: true };
}
