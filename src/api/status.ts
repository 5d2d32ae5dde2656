import type { Route } from '#/http/server.ts';
import { corsHeaders, apiRoute } from './envelope.ts';

export interface StatusApi {
  readonly version: string;
  readonly startedAtMs: number;
  /** Every flag with its value in force, as texts. */
  readonly flags: Readonly<Record<string, string>>;
}

/**
 * The release of Thanos whose API this is. Clients look at `version` to know what they may ask for:
 * Grafana looks labels up with matchers from 0.18.0 on. Our own version stands beside it.
 */
const THANOS_API = '0.43.0';

/** `/api/v1/status/*` and the answer to CORS preflights. */
export function statusRoutes({ version, startedAtMs, flags }: StatusApi): Route[] {
  const status = (name: string, handler: string, data: () => unknown) =>
    apiRoute(['GET'], `/status/${name}`, handler, () => Promise.resolve({ data: data() }));
  return [
    status('flags', 'status_flags', () => flags),
    status('buildinfo', 'status_build', () => ({
      version: THANOS_API,
      hindsightVersion: version,
      revision: '',
      branch: '',
      buildUser: '',
      buildDate: '',
      goVersion: '',
      nodeVersion: process.version,
    })),
    status('runtimeinfo', 'status_runtime', () => ({
      startTime: new Date(startedAtMs).toISOString(),
      CWD: process.cwd(),
      goroutineCount: 0,
      GOMAXPROCS: 1,
      GOGC: '',
      GODEBUG: '',
      GOMEMLIMIT: 0,
    })),
    {
      methods: ['OPTIONS'],
      path: '/api/v1/*',
      handler: 'options',
      handle: () => Promise.resolve({ status: 204, headers: corsHeaders, body: '' }),
    },
  ];
}
