/**
 * Whether a connection would be, and who decides it: the source's proxy by common/mesh/outbound.ts and the destination's by
 * common/authz/l4.ts, which are the functions that enforce. Pure.
 */
import { authorize, explain, type L4Connection } from '../authz/l4.ts';
import type { Compat } from '../core/compat.ts';
import { assertNever } from '../core/errors.ts';
import { formatSocketAddr, type Ip, parseSocketAddr, type SocketAddr } from '../core/net.ts';
import { identityOf, workloadName } from '../mesh/address.ts';
import { endpointPort, mapped } from '../mesh/balance.ts';
import { type HboneHop, type OutboundRoute, resolveOutbound } from '../mesh/outbound.ts';
import { type MeshReader, serviceKey } from '../mesh/store.ts';
import type { Workload } from '../mesh/types.ts';

export interface AtWaypoint {
  /** `namespace/hostname`. */
  readonly service: string;
  readonly port: number;
  /** Address that the caller connected to. */
  readonly destination: string;
  /** SPIFFE identity and address of the caller. */
  readonly principal: string;
  readonly source: string;
}

export interface WaypointVerdict {
  readonly allowed: boolean;
  readonly by: string;
  readonly lines: readonly string[];
  /** Host and port of the service that gets it; undefined: nobody. */
  readonly to: { readonly hostname: string; readonly port: number } | undefined;
}

export interface Question {
  readonly source: Workload;
  readonly target: SocketAddr;
  readonly compat: Compat;
  /** What a waypoint on the way does with the request that is asked about; undefined: there is none, or it is not told. */
  readonly atWaypoint?: (at: AtWaypoint) => WaypointVerdict | undefined;
}

/** What one side does, a line a step, and the policies that it asked (`namespace/name`). */
export interface Side {
  /** undefined: somebody else's program, or nobody. */
  readonly workload: Workload | undefined;
  readonly lines: readonly string[];
  readonly policies: readonly string[];
}

export interface Verdict {
  readonly allowed: boolean;
  /** Whoever decided it. */
  readonly by: string;
  readonly source: Side;
  readonly destination: Side;
  /** What this answer leaves open. */
  readonly open: readonly string[];
}

export function decideWhy(store: MeshReader, question: Question): Verdict {
  const { source, target, compat } = question;
  if (source.tunnelProtocol !== 'HBONE') return fromOutside(store, question);
  // The first of several endpoints; all are asked the same.
  const route = resolveOutbound(store, { source, target, network: source.network, compat, random: () => 0 });
  const side = (...lines: string[]): Side => ({ workload: source, lines, policies: [] });
  const who = `as ${principal(source)}`;
  switch (route.kind) {
    case 'refused':
      return {
        allowed: false,
        by: `the proxy of the source: ${route.reason}`,
        source: side(`refused: ${route.code}`),
        destination: nobody(route.workload),
        open: [],
      };
    case 'passthrough':
      return {
        allowed: true,
        by: 'nobody: the mesh does not know the destination',
        source: side(`${formatSocketAddr(route.target)} is no address of the mesh: plain TCP to there`),
        destination: nobody(undefined),
        open: ['whoever listens there may refuse'],
      };
    case 'plain':
      return {
        allowed: true,
        by: 'nobody: the destination has no proxy',
        source: side(`${workloadName(route.workload)} takes no HBONE: plain TCP to ${formatSocketAddr(route.target)}`),
        destination: nobody(route.workload),
        open: [],
      };
    case 'hbone': {
      const asked = parseSocketAddr(route.authority) ?? target;
      const line = `HBONE to ${workloadName(route.workload)} at ${formatSocketAddr(route.dial)}, for ${route.authority}, ${who}`;
      return decided(store, question, side(line), route.workload, asked, true);
    }
    case 'waypoint':
    case 'gateway': {
      const what = route.kind === 'waypoint' ? 'the waypoint' : 'the gateway of its network';
      const judged = route.kind === 'waypoint' ? throughWaypoint(store, question, route) : undefined;
      if (judged !== undefined) return judged;
      const line = `HBONE to ${what} ${workloadName(route.workload)} at ${formatSocketAddr(route.dial)}, for ${route.authority}, ${who}`;
      const verdict = decided(store, question, side(line), route.workload, route.dial, true);
      return {
        ...verdict,
        open: [...verdict.open, `${what} decides on at L7, and whoever is behind it at L4: not asked here`],
      };
    }
    case 'hostname':
      return {
        allowed: true,
        by: 'nobody here: the endpoint is known by a DNS name',
        source: side(`${route.hostname} is looked up; then ${describeNext(route)}`),
        destination: nobody(route.workload),
        open: ['what the name resolves to'],
      };
    default:
      return assertNever(route);
  }
}

/** undefined: nothing of the request counts there, or nobody asks about one. */
function throughWaypoint(
  store: MeshReader,
  { source, target, compat, atWaypoint }: Question,
  hop: WaypointHop,
): Verdict | undefined {
  const service = store.serviceByVip(source.network, target.ip, source.namespace);
  if (service === undefined || atWaypoint === undefined) return undefined;
  const address = source.addresses[0] ?? '';
  const about = {
    ...{ service: serviceKey(service), port: target.port, destination: target.ip },
    ...{ principal: principal(source), source: address },
  };
  const verdict = atWaypoint(about);
  if (verdict === undefined) return undefined;
  const name = workloadName(hop.workload);
  const side: Side = {
    workload: source,
    lines: [
      `HBONE to the waypoint ${name} at ${formatSocketAddr(hop.dial)}, for ${hop.authority}, as ${principal(source)}`,
      ...verdict.lines.map((line) => `at the waypoint: ${line}`),
    ],
    policies: [],
  };
  const { allowed, by, to } = verdict;
  const ends = (...open: readonly string[]): Verdict => ({
    allowed,
    by,
    source: side,
    destination: nobody(undefined),
    open,
  });
  if (!allowed || to === undefined) return ends();
  const next = store.serviceByHostname(to.hostname, source.namespace);
  const endpoint = next && store.endpoints(next)[0];
  if (endpoint !== undefined && endpoint.workload.addresses.length === 0 && endpoint.workload.hostname !== '')
    return ends(`what ${endpoint.workload.hostname} resolves to, where the waypoint looks it up`);
  const port = endpoint && endpointPort(endpoint, to.port, mapped(next.ports, to.port) ?? 0);
  const ip = endpoint?.workload.addresses[0];
  if (endpoint === undefined || port === undefined || ip === undefined)
    return ends(`${to.hostname} has no endpoint that is healthy: the waypoint would answer with 503`);
  const pod = { ip, port } as SocketAddr;
  const last = decided(store, { source: hop.workload, target: pod, compat }, side, endpoint.workload, pod, true);
  return last.allowed ? { ...last, by } : last;
}

type WaypointHop = Pick<HboneHop, 'workload' | 'dial' | 'authority'>;

function describeNext({ workload }: Extract<OutboundRoute, { kind: 'hostname' }>): string {
  return workload.tunnelProtocol === 'HBONE' ? 'HBONE to there' : 'plain TCP to there';
}

/** No proxy at the source: the kernel picks an endpoint, and connects in plain text. */
function fromOutside(store: MeshReader, question: Question): Verdict {
  const { source, target } = question;
  const side = (line: string): Side => ({
    workload: source,
    lines: ['has no proxy: outside of the mesh', line],
    policies: [],
  });
  const service = store.serviceByVip(source.network, target.ip, source.namespace);
  const endpoint = service === undefined ? undefined : store.endpoints(service)[0];
  if (service !== undefined && endpoint === undefined) {
    return {
      allowed: false,
      by: 'the kernel: no endpoint',
      source: side(`service ${serviceKey(service)} has no endpoint that is healthy`),
      destination: nobody(undefined),
      open: [],
    };
  }
  const workload = endpoint?.workload ?? store.workloadByIp(source.network, target.ip);
  const port =
    endpoint === undefined
      ? target.port
      : endpointPort(endpoint, target.port, mapped(service!.ports, target.port) ?? 0);
  const ip = endpoint === undefined ? target.ip : (workload?.addresses[0] as Ip | undefined);
  if (workload === undefined || ip === undefined || port === undefined) {
    return {
      allowed: true,
      by: 'nobody: the mesh does not know the destination',
      source: side(`plain TCP to ${formatSocketAddr(target)}`),
      destination: nobody(workload),
      open: ['whoever listens there may refuse'],
    };
  }
  const to = { ip, port } as SocketAddr;
  return decided(
    store,
    question,
    side(`plain TCP to ${workloadName(workload)} at ${formatSocketAddr(to)}`),
    workload,
    to,
    false,
  );
}

/** By the proxy of the destination, where there is one. `proved`: by mutual TLS. */
function decided(
  store: MeshReader,
  { source, compat }: Question,
  from: Side,
  workload: Workload,
  destination: SocketAddr,
  proved: boolean,
): Verdict {
  if (workload.tunnelProtocol !== 'HBONE') {
    return {
      allowed: true,
      by: 'nobody: the destination has no proxy',
      source: from,
      destination: nobody(workload),
      open: [],
    };
  }
  const connection: L4Connection = {
    source: source.addresses[0]!,
    identity: proved ? identityOf(source) : undefined,
    destination,
  };
  const governing = store.policiesFor(workload);
  const decision = authorize(connection, governing, compat);
  const policies = [...governing.policies.map((p) => `${p.namespace}/${p.name}`), ...governing.missing];
  return {
    allowed: decision.kind === 'allow',
    by: `the proxy of the destination: ${decision.kind === 'deny' ? decision.explanation : allowedBy(decision.by)}`,
    source: from,
    destination: { workload, lines: explain(connection, governing, compat), policies },
    open: [],
  };
}

function allowedBy(by: Extract<ReturnType<typeof authorize>, { kind: 'allow' }>['by']): string {
  return by.kind === 'rule' ? `policy ${by.hit.policy}, rule ${by.hit.group}` : 'no ALLOW policy applies to it';
}

function nobody(workload: Workload | undefined): Side {
  return { workload, lines: ['nobody of the mesh decides here'], policies: [] };
}

function principal(workload: Workload): string {
  const { trustDomain, namespace, serviceAccount } = identityOf(workload);
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}
