import { HealthCheckResponse_ServingStatus as Serving, HealthDefinition } from '#/proto/health.ts';
import type { HealthCheckRequest, HealthCheckResponse } from '#/proto/health.ts';
import type { Probe } from '#/telemetry/probe.ts';
import { serve } from './method.ts';
import type { Service } from './method.ts';
import { Status, StatusError } from './status.ts';

/**
 * `grpc.health.v1.Health` for the server as a whole (service name `""`): serving while the probe is
 * ready. Watches end when `closing` aborts.
 */
export function healthService(probe: Probe, closing: AbortSignal): Service {
  const changes = new Changes();
  probe.onReadyChange(() => changes.tell());
  const current = (): HealthCheckResponse => ({
    status: probe.isReady && !closing.aborted ? Serving.SERVING : Serving.NOT_SERVING,
  });
  return serve(HealthDefinition, {
    check: async ({ service }: HealthCheckRequest) => {
      if (service !== '') throw new StatusError(Status.NotFound, 'unknown service');
      return current();
    },
    async *watch({ service }: HealthCheckRequest, { signal }) {
      const until = AbortSignal.any([signal, closing]);
      if (service !== '') {
        yield { status: Serving.SERVICE_UNKNOWN };
        await aborted(until);
        return;
      }
      while (!until.aborted) {
        yield current();
        await changes.next(until);
      }
    },
  });
}

/** Wakes whoever waits for the next change. */
class Changes {
  #next = Promise.withResolvers<void>();

  tell(): void {
    const told = this.#next;
    this.#next = Promise.withResolvers();
    told.resolve();
  }

  next(until: AbortSignal): Promise<void> {
    return Promise.race([this.#next.promise, aborted(until)]);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
