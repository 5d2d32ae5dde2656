import { UnavailableError, messageOf } from '#/lib/errors.ts';
import { PartialResponseStrategy } from '#/proto/types.ts';
import type { EndpointContext } from '#/storeapi/endpoint-apis.ts';
import { untilAborted } from '#/lib/until-aborted.ts';

/** A message of one of the streaming APIs: data or a warning. */
export interface Answer {
  readonly result?: { readonly $case: string; readonly value: unknown } | undefined;
}

export interface FanOutCall<Response> {
  readonly name: string;
  readonly ask: (context: EndpointContext) => AsyncIterable<Response>;
}

/**
 * Asks all endpoints at once and gives what they answer, endpoint by endpoint. One that fails is a
 * warning under WARN, with what it sent until then; under ABORT its error ends the call.
 * `what` names the API in messages: `rules`, `targets` …, and `client` its client, as Thanos does.
 */
export async function* fanOut<Response extends Answer>(
  { what, client }: { readonly what: string; readonly client: string },
  calls: readonly FanOutCall<Response>[],
  strategy: PartialResponseStrategy,
  context: EndpointContext,
  warning: (text: string) => Response,
): AsyncGenerator<Response, void> {
  const fanning = new AbortController();
  const signal = AbortSignal.any([context.signal, fanning.signal]);
  const askOne = async ({ name, ask }: FanOutCall<Response>): Promise<Response[]> => {
    const answers: Response[] = [];
    try {
      const frames = ask({ ...context, signal })[Symbol.asyncIterator]();
      for (;;) {
        const frame = await untilAborted(frames.next(), signal);
        if (frame.done === true) return answers;
        answers.push(frame.value);
      }
    } catch (thrown) {
      signal.throwIfAborted();
      const started = answers.length > 0 || !(thrown instanceof UnavailableError);
      const verb = started ? 'receiving' : 'fetching';
      const text = `${verb} ${what} from ${client} client ${name}: ${messageOf(thrown)}`;
      if (strategy === PartialResponseStrategy.ABORT) throw new UnavailableError(text);
      return [...answers, warning(text)];
    }
  };
  try {
    for (const answers of await Promise.all(calls.map(askOne))) yield* answers;
  } finally {
    fanning.abort();
  }
}

/** What an API answered, taken apart. */
export interface Gathered<Item> {
  readonly items: readonly Item[];
  readonly warnings: readonly string[];
}

/** Reads a whole answer; each warning counts once. */
export async function gather<Item>(
  answers: AsyncIterable<{
    readonly result?:
      | { readonly $case: 'warning'; readonly value: string }
      | { readonly $case: string; readonly value: Item | string }
      | undefined;
  }>,
): Promise<Gathered<Item>> {
  const items: Item[] = [];
  const warnings = new Set<string>();
  for await (const { result } of answers) {
    if (result === undefined) continue;
    if (result.$case === 'warning') warnings.add(result.value as string);
    else items.push(result.value as Item);
  }
  return { items, warnings: [...warnings] };
}
