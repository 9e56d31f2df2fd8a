/** What one service comes to for an Envoy that takes its listeners from istiod. */
import { type Ip, isIpv6 } from '../../../common/core/net.ts';
import { rulesFor } from '../clusters/rules.ts';
import type { MeshPort, MeshService, MeshView } from '../inputs.ts';
import { byStream, type OnMatch, toChain } from '../listeners/matchers.ts';
import { tcpProxy } from '../listeners/tcp.ts';
import { outboundCluster } from '../names.ts';
import type { ClientProxy } from '../proxy.ts';
import { cidr, type Message, single } from '../values.ts';
import { type Chain, frozen, type PortMatch, speaksOf } from '../waypoint/service.ts';
import { connectionsTo, requestsTo } from './context.ts';
import { isSeen } from './egress.ts';
import { clientLogs } from './logs.ts';
import { blackHoleCluster, passthroughCluster } from './unknown.ts';

export interface ClientFront {
  readonly hostname: string;
  /** Whole addresses of the proxy's families. */
  readonly addresses: readonly string[];
  /** Messages `CidrRange`: its ranges; where it has no address its endpoints, which clients choose among themselves. */
  readonly ranges: readonly Message[];
  readonly isDynamic: boolean;
  readonly ports: readonly PortFront[];
}

export interface PortFront {
  readonly number: number;
  readonly speaks: PortMatch['speaks'];
  /** Of what is not read as HTTP. */
  readonly chains: readonly Chain[];
  readonly on: OnMatch;
  /** Names of clusters: its own, those of its subsets, and of what its connections are routed to. */
  readonly clusters: readonly string[];
}

/** Ports that its Sidecar lets the proxy see. */
export function clientFront(view: MeshView, proxy: ClientProxy, service: MeshService): ClientFront {
  const fits = (ip: Ip) => proxy.families === 'both' || isIpv6(ip) === (proxy.families === 'ipv6');
  const own = service.addresses.filter((a) => fits(a.ip));
  const ranges = own.flatMap((a) => (a.length === undefined ? [] : [cidr(a.ip, a.length)]));
  const isHeadless = service.addresses.length === 0;
  const endpoints = isHeadless ? view.endpoints(service) : [];
  const ips = endpoints.flatMap(({ address }) => (address.kind === 'ip' && fits(address.ip) ? [address.ip] : []));
  return {
    hostname: service.hostname,
    addresses: own.flatMap((a) => (a.length === undefined ? [a.ip] : [])),
    ranges: [...ranges, ...[...new Set(ips)].sort().map(single)],
    isDynamic: service.resolution === 'dynamic-dns',
    ports: service.ports
      .filter((port) => isSeen(view, proxy, service, port.number))
      .map((port) => portFront(view, proxy, service, port, isHeadless)),
  };
}

function portFront(
  view: MeshView,
  proxy: ClientProxy,
  service: MeshService,
  port: MeshPort,
  isHeadless: boolean,
): PortFront {
  const name = outboundCluster(service.hostname, port.number);
  const { subsets } = rulesFor(view, service, proxy.namespace, proxy.labels);
  const { routes, targets } = connectionsTo(view, proxy, { service, port });
  const speaks = speaksOf(port);
  const { logs } = clientLogs(view, proxy);
  const direct = [{ name: passthroughCluster, weight: 1 }];
  const chains =
    speaks === 'http'
      ? []
      : routes.map(({ clusters, tunnel }, i) => {
          // The client asked for one endpoint, and not for any.
          const to = isHeadless && i === routes.length - 1 ? direct : clusters;
          const shares = to.length === 0 ? [{ name: blackHoleCluster, weight: 1 }] : to;
          return frozen({ name: `${name}|${i}`, filters: [tcpProxy(name, shares, logs, { tunnel })] });
        });
  return {
    number: port.number,
    speaks,
    chains,
    on: byStream(routes.map(({ sni, destinations }, i) => ({ sni, destinations, on: toChain(`${name}|${i}`) }))),
    clusters: [
      name,
      ...subsets.map((s) => outboundCluster(service.hostname, port.number, s.name)),
      ...(speaks === 'http' ? [] : targets),
    ],
  };
}

export interface ClientHost {
  readonly hostname: string;
  /** Other names that requests may say, where nobody else has them. */
  readonly aliases: readonly string[];
  readonly routes: readonly Message[];
  /** Names of clusters that they send to. */
  readonly clusters: readonly string[];
}

export function clientHost(view: MeshView, proxy: ClientProxy, service: MeshService, port: MeshPort): ClientHost {
  const { routes, targets } = requestsTo(view, proxy, { service, port });
  const { hostname, namespace, name, addresses } = service;
  const own = namespace === proxy.namespace ? [name] : [];
  const names = service.kind === 'Service' ? [`${name}.${namespace}.svc`, `${name}.${namespace}`, ...own] : [];
  const ips = addresses.flatMap(({ ip, length }) => (length === undefined ? [isIpv6(ip) ? `[${ip}]` : ip] : []));
  // Those who look for one endpoint of many say its name.
  const members = addresses.length === 0 && service.kind === 'Service' ? [`*.${hostname}`] : [];
  return {
    hostname,
    aliases: [...names, ...ips, ...members],
    routes: routes as readonly Message[],
    clusters: [...targets],
  };
}
