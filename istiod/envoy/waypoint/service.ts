/** What one service behind a waypoint comes to: chains of filters, routes, clusters and endpoints. */

import { isIpv6 } from '../../../common/core/net.ts';
import { type Typed, typeUrl } from '../../../common/envoy/codec.ts';
import { type MadeCluster, makeCluster } from '../clusters/cluster.ts';
import type { MeshPort, MeshService, MeshView, RouteTarget } from '../inputs.ts';
import { httpManager } from '../listeners/http.ts';
import { byProtocol, type OnMatch, toChain, toMatcher } from '../listeners/matchers.ts';
import { tcpProxy } from '../listeners/tcp.ts';
import { inboundCluster } from '../names.ts';
import type { WaypointProxy } from '../proxy.ts';
import { cidr, type Message, none } from '../values.ts';

/** A chain of main_internal. */
export interface Chain extends Message {
  readonly name: string;
}

export interface WaypointService {
  /** Of main_internal. */
  readonly chains: readonly Chain[];
  readonly ports: ReadonlyMap<number, PortMatch>;
  /** Messages `CidrRange` of its addresses. */
  readonly ranges: readonly Message[];
  readonly routes: readonly RouteConfig[];
  readonly clusters: readonly MadeCluster[];
  /** Services that are not behind this waypoint, to which routes send. */
  readonly targets: readonly RouteTarget[];
}

export interface RouteConfig extends Typed {
  readonly name: string;
}

export interface PortMatch {
  readonly on: OnMatch;
  /** What clients may speak there. `unknown`: HTTP or anything else, the first bytes tell. */
  readonly speaks: 'http' | 'tcp' | 'tls' | 'unknown';
}

export function waypointService(view: MeshView, proxy: WaypointProxy, service: MeshService): WaypointService {
  const parts = service.ports.map((port) => portOf(view, proxy, service, port));
  return {
    chains: parts.flatMap((p) => p.chains),
    ports: new Map(parts.map((p) => [p.port.number, p.match])),
    ranges: service.addresses.map((a) => cidr(a.ip, a.length ?? (isIpv6(a.ip) ? 128 : 32))),
    routes: parts.flatMap((p) => p.routes),
    clusters: parts.flatMap((p) => p.clusters),
    targets: [],
  };
}

interface Part {
  readonly port: MeshPort;
  readonly chains: readonly Chain[];
  readonly match: PortMatch;
  readonly routes: readonly RouteConfig[];
  readonly clusters: readonly MadeCluster[];
}

function portOf(view: MeshView, proxy: WaypointProxy, service: MeshService, port: MeshPort): Part {
  const speaks = speaksOf(port);
  const http = speaks === 'http' || speaks === 'unknown' ? httpChain(view, service, port) : undefined;
  const tcp = speaks === 'http' ? undefined : tcpChain(view, service, port);
  const made = [http, tcp].filter((c) => c !== undefined);
  const on =
    http && tcp
      ? toMatcher(byProtocol(toChain(http.chain.name), toChain(tcp.chain.name)))
      : toChain(made[0]!.chain.name);
  return {
    port,
    chains: made.map((c) => c.chain),
    match: { on, speaks },
    routes: made.flatMap((c) => c.routes),
    clusters: made.map(({ kind, chain }) => makeCluster(view.facts, proxy, { name: chain.name, service, port, kind })),
  };
}

function speaksOf({ protocol }: MeshPort): PortMatch['speaks'] {
  switch (protocol) {
    case 'HTTP11':
    case 'HTTP2':
    case 'GRPC':
      return 'http';
    case 'TCP':
      return 'tcp';
    case 'TLS':
      return 'tls';
    case undefined:
      return 'unknown';
  }
}

interface MadeChain {
  readonly kind: 'tcp' | 'http';
  readonly chain: Chain;
  readonly routes: readonly RouteConfig[];
}

function httpChain({ facts }: MeshView, service: MeshService, port: MeshPort): MadeChain {
  const name = inboundCluster(service.hostname, port.number, 'http');
  const routes = [{ name: 'default', match: { prefix: '/' }, route: { cluster: name, timeout: none } }];
  return {
    kind: 'http',
    chain: { name, filters: [httpManager(facts, name, port, name, [])] },
    routes: [
      {
        '@type': typeUrl('envoy.config.route.v3.RouteConfiguration'),
        name,
        virtual_hosts: [{ name: 'default', domains: ['*'], routes }],
        validate_clusters: { value: false },
      } as RouteConfig,
    ],
  };
}

function tcpChain({ facts }: MeshView, service: MeshService, port: MeshPort): MadeChain {
  const name = inboundCluster(service.hostname, port.number, 'tcp');
  return { kind: 'tcp', chain: { name, filters: [tcpProxy(facts, name, [{ name, weight: 1 }])] }, routes: [] };
}
