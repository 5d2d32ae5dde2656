import type { Route } from '#/http/server.ts';
import type { EndpointStatus } from '#/query/endpoints.ts';
import type { EndpointApi } from './endpoint-api.ts';
import { apiRoute } from './envelope.ts';

/** `/api/v1/stores`: every endpoint, its health and what it covers. */
export function storesRoutes(api: EndpointApi): Route[] {
  return [
    apiRoute(['GET'], '/stores', 'stores', () => {
      const byComponent = Object.groupBy(api.statuses(), ({ component }) => component);
      const data = Object.entries(byComponent).map(([component, statuses = []]) => {
        const sorted = statuses.toSorted((a, b) => (a.name < b.name ? -1 : 1));
        return [component, sorted.map(statusJson)];
      });
      return Promise.resolve({ data: Object.fromEntries(data) as unknown });
    }),
  ];
}

function statusJson({ name, lastCheckMs, lastError, labelSets, mint, maxt }: EndpointStatus) {
  return {
    name,
    lastCheck: new Date(lastCheckMs ?? 0).toISOString(),
    lastError: lastError ?? null,
    labelSets: labelSets.filter(({ size }) => size > 0),
    minTime: mint,
    maxTime: maxt,
  };
}
