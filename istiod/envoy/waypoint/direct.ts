/** Workloads that a waypoint is before by their own addresses: any port, whatever it speaks. */
import type { MeshView } from '../inputs.ts';
import { denialDetails } from '../listeners/denial-details.ts';
import { httpManager } from '../listeners/http.ts';
import { byProtocol, type Ranges, toChain, toMatcher } from '../listeners/matchers.ts';
import { tcpProxy } from '../listeners/tcp.ts';
import { encap } from '../names.ts';
import type { WaypointProxy } from '../proxy.ts';
import { customFilters } from '../rbac/custom.ts';
import { dryRunLog } from '../rbac/dry-run.ts';
import { policiesOfGateway, rbacFilters } from '../rbac/filters.ts';
import type { Level } from '../rbac/rules.ts';
import { accessLogs } from '../telemetry/logging.ts';
import { metricsFilters } from '../telemetry/metrics.ts';
import { extension, type Message, none, single } from '../values.ts';
import { type Chain, collectorTargets, frozen, type Leading } from './service.ts';
import { localAddressKey } from './tunnels.ts';

export interface DirectAccess extends Leading {
  readonly chains: readonly Chain[];
  readonly ranges: Ranges;
}

const names = { http: 'direct-http', tcp: 'direct-tcp' } as const;

/** The connection goes on to where it was to go: what the tunnel said of that goes along once more. */
const onwards = extension('connect_authority', 'envoy.extensions.filters.network.set_filter_state.v3.Config', {
  on_new_connection: [
    {
      object_key: localAddressKey,
      format_string: { text_format_source: { inline_string: `%FILTER_STATE(${localAddressKey}:PLAIN)%` } },
      shared_with_upstream: 'ONCE',
    },
  ],
});

/** undefined: there are none. */
export function directAccess(view: MeshView, proxy: WaypointProxy): DirectAccess | undefined {
  const addresses = [...new Set(view.workloadsBehind(proxy.gateway))].sort();
  if (addresses.length === 0) return undefined;
  const { facts } = view;
  const policies = policiesOfGateway(view, proxy);
  const metrics = metricsFilters(view, proxy, undefined);
  const collectors = collectorTargets();
  const { cluster } = collectors;
  const logsOf = (level: Level) =>
    accessLogs(view, proxy, { service: undefined, cluster, trials: dryRunLog(policies, level) });
  const routes: Message = {
    name: names.http,
    virtual_hosts: [
      {
        name: names.http,
        domains: ['*'],
        routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: encap, timeout: none } }],
      },
    ],
  };
  const manager = httpManager(
    facts,
    names.http,
    { protocol: undefined },
    routes,
    {
      first: [
        ...customFilters(view, policies, 'http', names.http, cluster),
        ...rbacFilters(policies, 'http', facts, names.http),
        ...metrics,
      ],
    },
    logsOf('http'),
    denialDetails(view, proxy.gateway),
  );
  const tcp = tcpProxy(names.tcp, [{ name: encap, weight: 1 }], logsOf('tcp'));
  return {
    chains: [
      frozen({ name: names.http, filters: [onwards, manager] }),
      frozen({
        name: names.tcp,
        filters: [
          onwards,
          ...customFilters(view, policies, 'tcp', names.tcp),
          ...rbacFilters(policies, 'tcp', facts, names.tcp),
          ...metrics,
          tcp,
        ],
      }),
    ],
    ranges: {
      ranges: addresses.map(single),
      on: toMatcher(byProtocol(toChain(names.http), toChain(names.tcp))),
    },
    targets: collectors.targets,
  };
}
