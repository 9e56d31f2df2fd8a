/** From a pod into the mesh or out of it (ambient-wire 2.2): accept -> identify -> decide -> connect -> relay -> account. */
import type { Duplex } from 'node:stream';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import { assertNever, MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, type Port, type SocketAddr } from '../../common/core/net.ts';
import type { AgainOutbound, Begun, Heirs } from '../../common/hbone/again.ts';
import { formatForwarded, newTraceparent, parseBaggage } from '../../common/hbone/headers.ts';
import type { RelayCounters } from '../../common/hbone/relay.ts';
import type { ConnectHeaders, OutboundTunnel } from '../../common/hbone/types.ts';
import { identityOf } from '../../common/mesh/address.ts';
import { serviceKey } from '../../common/mesh/store.ts';
import type { Workload } from '../../common/mesh/types.ts';
import { baggageHeader } from '../../common/telemetry/baggage.ts';
import { type Accepted, refuse } from './accept.ts';
import type { Account } from './account.ts';
import { connectFromPod } from './connect.ts';
import {
  decideOutbound,
  type OutboundDecision,
  type OutboundForward,
  type OutboundQuestion,
} from './decide-outbound.ts';
import { errorOf } from './denial.ts';
import { identifyPod, outboundDestination } from './identify.ts';
import { informOutbound } from './inform.ts';
import type { Permit } from './permit.ts';
import type { ProxiedPod } from './pod.ts';
import { relayWith } from './relay.ts';
import { openAccount, type ProxyRuntime } from './runtime.ts';

/** How connections of one kind come here, and how their apps hear of what becomes of them. */
export interface Manner {
  /** Where it is to go. MeshError LOOP when nobody said so. */
  destination(accepted: Accepted, runtime: ProxyRuntime): SocketAddr;
  /** The way onwards stands; called before the first byte is moved. Absent where nobody has to hear of it, so that bytes need not wait. */
  readonly connected?: (socket: ByteStream) => void;
  /** It ends here. Closes the socket. */
  failed(socket: ByteStream, cause: unknown): void;
}

/** The app believes that it is connected already, and learns of a failure by a reset. */
const captured: Manner = {
  destination: (accepted, runtime) => outboundDestination(accepted, runtime.originalDestination),
  failed: refuse,
};

interface Outbound {
  readonly remote: SocketAddr;
  readonly pod: ProxiedPod;
  readonly runtime: ProxyRuntime;
  readonly account: Account;
  readonly traceparent: string;
  /** Its bytes may flow as soon as the way onwards stands. */
  readonly downstream: ByteStream | undefined;
  /** The decision would be the same for an equal connection, as long as the mesh does not change. */
  readonly again: Pick<AgainOutbound, 'asOf' | 'downstream' | 'target'> | undefined;
}

/** Settles when the connection is over. Never rejects. */
export async function handleOutbound(
  accepted: Accepted,
  pod: ProxiedPod,
  runtime: ProxyRuntime,
  manner: Manner = captured,
): Promise<void> {
  const { socket, remote } = accepted;
  const traceparent = newTraceparent();
  let target: SocketAddr | undefined;
  let unknown: unknown;
  try {
    target = manner.destination(accepted, runtime);
  } catch (e) {
    unknown = e;
  }
  const record = {
    direction: 'outbound' as const,
    sourceAddress: remote,
    destinationAddress: target ?? accepted.local,
    originalDestination: target,
    mtls: false,
    traceId: traceparent.slice(3, 35),
  };
  const account = openAccount(runtime, record, target);
  try {
    if (!target) throw unknown;
    account.trace?.('accept', `captured from ${formatSocketAddr(remote)} to ${formatSocketAddr(target)}`);
    const source = await identifyPod(pod);
    account.record.source = source;
    account.trace?.('identify', `${source.namespace}/${source.name}, service account ${source.serviceAccount}`);
    const { network, compat } = runtime;
    let drawn = false;
    const random = () => {
      drawn = true;
      return runtime.random();
    };
    const asOf = runtime.engine.memory?.generation;
    const question: OutboundQuestion = { source, target, network, ownPorts: pod.ownPorts, compat, random };
    const downstream = manner.connected ? undefined : socket;
    const informed = informOutbound(runtime, question);
    if (informed) await informed;
    const undecided = decideOutbound(runtime.store, question);
    // What was drawn by lot is drawn for each connection; what follows its own rule each time is asked each time.
    const always = !drawn && undecided.kind === 'forward' && !runtime.demand && !account.trace;
    const again = always && downstream && asOf !== undefined ? { asOf, downstream, target } : undefined;
    const ctx: Outbound = { remote, pod, runtime, account, traceparent, downstream, again };
    // A connection whose decision waits for nothing goes on in the same turn.
    const decision = undecided.kind === 'resolve' ? await resolved(ctx, question, undecided) : undecided;
    if (decision.kind === 'deny') {
      account.trace?.('decide', `refused: ${decision.reason}`);
      account.denied(decision);
      manner.failed(socket, errorOf(decision));
      return;
    }
    const { permit } = decision;
    const upstream = await connectOrElsewhere(ctx, question, decision.route, permit);
    if (decision.route.kind === 'hbone') runtime.mayBeDirect?.(pod, target);
    manner.connected?.(socket);
    await relayWith(permit, socket, upstream, account, runtime, { pod, inbound: undefined });
  } catch (e) {
    account.failed(e);
    manner.failed(socket, e);
  }
}

type Resolved = Exclude<OutboundDecision, { kind: 'resolve' }>;

/** Asks DNS as long as the decision depends on it. MeshError NO_HEALTHY_UPSTREAM. */
async function resolved(
  { runtime, account }: Outbound,
  { source }: OutboundQuestion,
  undecided: OutboundDecision,
): Promise<Resolved> {
  let decision = undecided;
  while (decision.kind === 'resolve') {
    const { hostname, preferIpv6 } = decision;
    account.record.service ??= decision.service;
    account.record.destination ??= decision.workload;
    runtime.sink.resolving(source, hostname);
    const ip = await runtime.resolveName(hostname, preferIpv6);
    account.trace?.('decide', `${hostname} is ${ip}`);
    decision = decision.at(ip);
  }
  return decision;
}

/**
 * A destination that just left the mesh, or an endpoint that just died, refuses: the mesh may already know better. One more
 * try, and only where the answer is another one now: HBONE, or plain text to a workload that the mesh knows as not in it.
 */
async function connectOrElsewhere(
  ctx: Outbound,
  question: OutboundQuestion,
  route: OutboundForward,
  permit: Permit,
): Promise<Duplex> {
  try {
    return await connectRoute(ctx, question.source, route, permit);
  } catch (e) {
    const other = isRefused(e) ? await elsewhere(ctx, question, route) : undefined;
    if (!other) throw e;
    ctx.account.trace?.('connect', `${(e as Error).message}; trying ${describeRoute(other)} instead`);
    return connectRoute({ ...ctx, again: undefined }, question.source, other, permit);
  }
}

/** Picks of an endpoint until it is another one; with two endpoints 8 picks miss the other in 1 of 256 cases. */
const picks = 8;

async function elsewhere(
  ctx: Outbound,
  question: OutboundQuestion,
  tried: OutboundForward,
): Promise<OutboundForward | undefined> {
  for (let i = 0; i < picks; i++) {
    const decision = await resolved(ctx, question, decideOutbound(ctx.runtime.store, question));
    if (decision.kind === 'deny') return undefined;
    // What the mesh has forgotten it does not know to be out of the mesh: that would be a way back to plain text.
    if (decision.route.kind === 'passthrough') return undefined;
    if (describeRoute(decision.route) !== describeRoute(tried)) return decision.route;
  }
  return undefined;
}

function isRefused(e: unknown): boolean {
  return e instanceof MeshError && (e.code === 'CONNECT_FAILED' || e.code === 'H2_FAILED' || e.code === 'TLS_FAILED');
}

async function connectRoute(ctx: Outbound, source: Workload, route: OutboundForward, permit: Permit): Promise<Duplex> {
  const { pod, runtime, account } = ctx;
  const ahead = ctx.downstream && { downstream: ctx.downstream, counters: account.counters, permit: permit.signal };
  const { record } = account;
  account.trace?.('decide', describeRoute(route));
  record.service = route.service;
  record.destination = route.kind === 'passthrough' ? undefined : route.workload;
  if (route.kind === 'passthrough' || route.kind === 'plain') {
    record.destinationAddress = route.target;
    record.mtls = false;
    return connectFromPod(pod, route.target, runtime.tools, permit.signal, ahead);
  }
  record.destinationAddress = route.dial;
  record.hboneAddress = route.authority;
  record.mtls = true;
  record.sourceIdentity = identityOf(source);
  record.destinationIdentity = identityOf(route.workload);
  const { remote } = ctx;
  const target = {
    address: route.dial,
    expected: route.expected,
    source: record.sourceIdentity,
    sourceIp: remote.ip,
  };
  const headers: ConnectHeaders = {
    authority: route.authority,
    baggage: baggageHeader(source),
    forwarded: formatForwarded({ source: remote, host: route.service?.hostname }),
    traceparent: ctx.traceparent,
  };
  // Of a gateway the second tunnel is what is relayed.
  const tunnel = await pod.pool.connect(target, headers, permit.signal, route.kind === 'gateway' ? undefined : ahead);
  record.destinationIdentity = tunnel.peer;
  account.trace?.('connect', `tunnel to ${tunnel.peer.namespace}/${tunnel.peer.serviceAccount} stands`);
  if (route.kind === 'gateway') return connectBehind(ctx, route, tunnel, headers, permit);
  if (ctx.again) {
    const more = { source: remote.ip, highestFd: pod.highestFd, headers, host: route.service?.hostname };
    tunnel.again?.({ ...ctx.again, ...more }, heirsOf(ctx, ctx.again.target));
  }
  return tunnel.stream;
}

/** Connections that the engine sends the same way. */
function heirsOf({ remote, pod, runtime, account }: Outbound, target: SocketAddr): Heirs {
  const { record } = account;
  const accountOf = ({ port, traceparent }: Pick<Begun, 'port' | 'traceparent'>, counters?: RelayCounters) => {
    const sourceAddress = { ip: remote.ip, port: port as Port };
    return openAccount(runtime, { ...record, sourceAddress, traceId: traceparent?.slice(3, 35) }, target, counters);
  };
  return {
    begun(connection) {
      const opened = accountOf(connection, connection.counters);
      opened.opened();
      const release = pod.hold({
        resetAndDestroy: () => connection.cut(new MeshError('CANCELLED', 'the connection was cut')),
      });
      const seat = runtime.open.enter({ ends: connection, account: opened, pod, inbound: undefined });
      connection.onOver((result) => {
        runtime.open.leave(seat);
        release();
        opened.relayed(result, undefined);
      });
    },
    missed: (connection, error) => accountOf(connection).failed(error),
  };
}

/** The second tunnel of double HBONE, inside the one to the gateway: its far end is the destination, as it says itself. */
async function connectBehind(
  { pod, runtime, account }: Outbound,
  { behind }: Extract<OutboundForward, { kind: 'gateway' }>,
  gateway: OutboundTunnel,
  headers: ConnectHeaders,
  permit: Permit,
): Promise<Duplex> {
  const { record } = account;
  const target = { expected: behind, source: record.sourceIdentity! };
  const innerHeaders = { ...headers, forwardedNetwork: runtime.network };
  const tunnel = await pod.pool.connectInside(gateway.stream, target, innerHeaders, permit.signal);
  record.destinationIdentity = tunnel.peer;
  const { baggage } = tunnel.responseHeaders;
  if (baggage !== undefined) record.destinationBaggage = parseBaggage(baggage);
  account.trace?.('connect', `inside it, a tunnel to ${tunnel.peer.namespace}/${tunnel.peer.serviceAccount} stands`);
  return tunnel.stream;
}

export function describeRoute(route: OutboundForward): string {
  const service = route.service ? ` for service ${serviceKey(route.service)}` : '';
  switch (route.kind) {
    case 'passthrough':
      return `plain TCP to ${formatSocketAddr(route.target)}${service}, unknown to the mesh`;
    case 'plain':
      return `plain TCP to ${formatSocketAddr(route.target)}${service}, not in the mesh`;
    case 'hbone':
      return `HBONE to ${formatSocketAddr(route.dial)} for ${route.authority}${service}`;
    case 'waypoint':
    case 'gateway': {
      const { namespace, name } = route.workload;
      const hop = `${route.kind} ${namespace}/${name}`;
      return `HBONE to ${hop} at ${formatSocketAddr(route.dial)} for ${route.authority}${service}`;
    }
    default:
      return assertNever(route);
  }
}
