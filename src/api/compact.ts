import type { CompactorStatus } from '#/compact/status.ts';
import type { Route } from '#/http/server.ts';
import { apiRoute } from './envelope.ts';

export interface CompactApi {
  status(): Promise<CompactorStatus>;
}

/**
 * `/api/v1/compact/status`, which Thanos has not: how a compactor stands. Times and durations are in
 * milliseconds, and what is not known is left out.
 */
export function compactRoutes(api: CompactApi): Route[] {
  return [
    apiRoute(['GET'], '/compact/status', 'compact_status', async () => ({
      data: await api.status(),
    })),
  ];
}
