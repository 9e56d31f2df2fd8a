/** The filter that makes Istio's metrics, as Telemetry changes them: Istio's `istio.stats`, which a stock Envoy does not have. */
import { statsConfig } from '../../../common/envoy/istio.ts';
import type { Telemetry } from '../../../common/kube/kinds/istio/telemetry.ts';
import type { MeshFacts, MeshService, MeshView } from '../inputs.ts';
import type { WaypointProxy } from '../proxy.ts';
import { durationOf, extension, type Message } from '../values.ts';
import { applicableTelemetries } from './applicable.ts';
import { mistakeIn } from './expressions.ts';

type Metrics = NonNullable<NonNullable<Telemetry['spec']>['metrics']>[number];
type Override = NonNullable<Metrics['overrides']>[number];

/** Istio's names in the API, and in Prometheus without the prefix. */
const names: Readonly<Record<string, string>> = {
  REQUEST_COUNT: 'requests_total',
  REQUEST_DURATION: 'request_duration_milliseconds',
  REQUEST_SIZE: 'request_bytes',
  RESPONSE_SIZE: 'response_bytes',
  TCP_OPENED_CONNECTIONS: 'tcp_connections_opened_total',
  TCP_CLOSED_CONNECTIONS: 'tcp_connections_closed_total',
  TCP_SENT_BYTES: 'tcp_sent_bytes_total',
  TCP_RECEIVED_BYTES: 'tcp_received_bytes_total',
  GRPC_REQUEST_MESSAGES: 'request_messages_total',
  GRPC_RESPONSE_MESSAGES: 'response_messages_total',
};

/** None where nobody asks for them, where all are disabled, or where the proxy cannot make them. */
export function metricsFilters(
  view: MeshView,
  proxy: WaypointProxy,
  service: MeshService | undefined,
): readonly Message[] {
  if (proxy.engine !== 'aquifer') return [];
  const found = applicableTelemetries(view, proxy, service).flatMap(({ spec }) => spec?.metrics ?? []);
  const merged = mergeMetrics(found, view.facts);
  if (merged === undefined) return [];
  const { interval, metrics } = merged;
  return [
    extension('istio.stats', statsConfig, {
      reporter: 'SERVER_GATEWAY',
      ...(interval !== undefined && { tcp_reporting_duration: durationOf(interval) }),
      ...(metrics.length > 0 && { metrics }),
    }),
  ];
}

interface Merged {
  readonly interval: string | undefined;
  readonly metrics: readonly Message[];
}

interface Change {
  disabled: boolean;
  readonly tags: Map<string, string | undefined>;
}

/** As Istio merges for a server: a provider that is named below takes the place of those above; tags and metrics add up. */
export function mergeMetrics(found: readonly Metrics[], facts: MeshFacts): Merged | undefined {
  const isPrometheus = (name: string) =>
    facts.extensionProviders.some((p) => p.kind === 'prometheus' && p.name.toLowerCase() === name.toLowerCase());
  const named = found.map(({ providers }) => (providers ?? []).map((p) => p.name));
  const inScope = named.findLast((list) => list.length > 0) ?? facts.defaultProviders.metrics;
  if (!inScope.some(isPrometheus)) return undefined;
  let parents = facts.defaultProviders.metrics;
  let allDisabled = false;
  let interval: string | undefined;
  const changes = new Map<string, Change>();
  found.forEach(({ overrides, reportingInterval }, i) => {
    if (named[i]!.length > 0) parents = named[i]!;
    if (!parents.some((name) => isPrometheus(name) && inScope.includes(name))) return;
    interval = reportingInterval ?? interval;
    for (const override of overrides ?? []) {
      if (override.match?.mode === 'CLIENT') continue;
      if (isAll(override) && override.disabled === true) allDisabled = true;
      else {
        allDisabled = false;
        change(changes, override);
      }
    }
  });
  if (allDisabled) return undefined;
  return { interval, metrics: [...changes].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(message) };
}

function isAll({ match }: Override): boolean {
  return match?.customMetric === undefined && (match?.metric ?? 'ALL_METRICS') === 'ALL_METRICS';
}

function change(changes: Map<string, Change>, override: Override): void {
  const { match, disabled, tagOverrides } = override;
  const of = isAll(override) ? Object.keys(names) : [match?.customMetric ?? match!.metric!];
  for (const name of of) {
    const one = changes.get(name) ?? { disabled: false, tags: new Map() };
    changes.set(name, one);
    if (typeof disabled === 'boolean') one.disabled = disabled;
    for (const [tag, { operation, value = '' }] of Object.entries(tagOverrides ?? {})) {
      if (operation === 'REMOVE') one.tags.set(tag, undefined);
      else if (mistakeIn(value) === undefined) one.tags.set(tag, value);
    }
  }
}

function message([name, { disabled, tags }]: readonly [string, Change]): readonly Message[] {
  const all = [...tags].sort(([a], [b]) => (a < b ? -1 : 1));
  const set = all.filter(([, value]) => value !== undefined);
  const removed = all.flatMap(([tag, value]) => (value === undefined ? [tag] : []));
  if (!disabled && all.length === 0) return [];
  return [
    {
      name: names[name] ?? name,
      ...(set.length > 0 && { dimensions: Object.fromEntries(set) }),
      ...(removed.length > 0 && { tags_to_remove: removed }),
      ...(disabled && { drop: true }),
    },
  ];
}
