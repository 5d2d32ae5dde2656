/** What a cache server answered instead of what it was asked for. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
}
