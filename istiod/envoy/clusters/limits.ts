/** Circuit breakers and keep-alive: connectionPool and retryBudget of DestinationRules. */
import { durationOf, type Message } from '../values.ts';
import type { PortPolicy } from './rules.ts';

/** Envoy's own defaults of 1,024 would refuse requests that nobody asked to limit. */
const most = 4_294_967_295;

export const limitless = limits({});

export function limits({ connectionPool: { tcp, http } = {}, retryBudget }: PortPolicy): Message {
  const or = (value: number | undefined) => ({ value: value || most });
  return {
    thresholds: [
      {
        max_connections: or(tcp?.maxConnections),
        max_pending_requests: or(http?.http1MaxPendingRequests),
        max_requests: or(http?.http2MaxRequests),
        max_retries: or(http?.maxRetries),
        track_remaining: true,
        ...(retryBudget && {
          retry_budget: {
            budget_percent: { value: retryBudget.percent ?? 20 },
            min_retry_concurrency: { value: retryBudget.minRetryConcurrency ?? 3 },
          },
        }),
      },
    ],
  };
}

/** Of the sockets; undefined: the system's. */
export function socketOptions({ connectionPool }: PortPolicy): Message | undefined {
  const keepalive = connectionPool?.tcp?.tcpKeepalive;
  if (keepalive === undefined) return undefined;
  const { probes, time, interval } = keepalive;
  return {
    tcp_keepalive: {
      ...(probes && { keepalive_probes: { value: probes } }),
      ...(time !== undefined && { keepalive_time: { value: wholeSeconds(time) } }),
      ...(interval !== undefined && { keepalive_interval: { value: wholeSeconds(interval) } }),
    },
  };
}

/** Sockets know no parts of seconds, and 0 would turn it off. */
function wholeSeconds(text: string): number {
  return Math.max(1, Math.round(durationOf(text)?.seconds ?? 1));
}
