/** From a pod into the mesh or out of it (ambient-wire 2.2): accept -> identify -> decide -> connect -> relay -> account. */
import type { Duplex } from 'node:stream';
import { MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, type SocketAddr } from '../../common/core/net.ts';
import { formatForwarded, newTraceparent } from '../../common/hbone/headers.ts';
import { identityOf } from '../../common/mesh/address.ts';
import { serviceKey } from '../../common/mesh/store.ts';
import type { Workload } from '../../common/mesh/types.ts';
import { baggageHeader } from '../../common/telemetry/baggage.ts';
import { type Accepted, refuse } from './accept.ts';
import type { Account } from './account.ts';
import { connectFromPod } from './connect.ts';
import { decideOutbound, type OutboundForward, type OutboundQuestion } from './decide-outbound.ts';
import { identifyPod, outboundDestination } from './identify.ts';
import type { Permit } from './permit.ts';
import type { ProxiedPod } from './pod.ts';
import { relayWith } from './relay.ts';
import { openAccount, type ProxyRuntime } from './runtime.ts';

interface Outbound {
  readonly accepted: Accepted;
  readonly pod: ProxiedPod;
  readonly runtime: ProxyRuntime;
  readonly account: Account;
  readonly traceparent: string;
}

/** Settles when the connection is over. Never rejects. */
export async function handleOutbound(accepted: Accepted, pod: ProxiedPod, runtime: ProxyRuntime): Promise<void> {
  const { socket, remote } = accepted;
  const traceparent = newTraceparent();
  let target: SocketAddr | undefined;
  let unknown: unknown;
  try {
    target = outboundDestination(accepted, runtime.originalDestination);
  } catch (e) {
    unknown = e;
  }
  const record = {
    direction: 'outbound' as const,
    sourceAddress: remote,
    destinationAddress: target ?? accepted.local,
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
    const { network, random } = runtime;
    const question: OutboundQuestion = { source, target, network, ownPorts: pod.ownPorts, random };
    const decision = decideOutbound(runtime.store, question);
    if (decision.kind === 'deny') {
      account.trace?.('decide', `refused: ${decision.reason}`);
      account.denied(decision);
      refuse(socket);
      return;
    }
    const { permit } = decision;
    const ctx: Outbound = { accepted, pod, runtime, account, traceparent };
    const upstream = await connectOrElsewhere(ctx, question, decision.route, permit);
    await relayWith(permit, socket, upstream, account, runtime.engine);
  } catch (e) {
    account.failed(e);
    refuse(socket);
  }
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
    const other = isRefused(e) ? elsewhere(ctx, question, route) : undefined;
    if (!other) throw e;
    ctx.account.trace?.('connect', `${(e as Error).message}; trying ${describeRoute(other)} instead`);
    return connectRoute(ctx, question.source, other, permit);
  }
}

/** Picks of an endpoint until it is another one; with two endpoints 8 picks miss the other in 1 of 256 cases. */
const picks = 8;

function elsewhere(ctx: Outbound, question: OutboundQuestion, tried: OutboundForward): OutboundForward | undefined {
  for (let i = 0; i < picks; i++) {
    const decision = decideOutbound(ctx.runtime.store, question);
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
  const { record } = account;
  account.trace?.('decide', describeRoute(route));
  record.service = route.service;
  record.destination = route.kind === 'passthrough' ? undefined : route.workload;
  if (route.kind !== 'hbone') {
    record.destinationAddress = route.target;
    record.mtls = false;
    return connectFromPod(pod, route.target, runtime.tools, permit.signal);
  }
  record.destinationAddress = route.dial;
  record.hboneAddress = formatSocketAddr(route.target);
  record.mtls = true;
  record.sourceIdentity = identityOf(source);
  record.destinationIdentity = identityOf(route.workload);
  const { remote } = ctx.accepted;
  const target = {
    address: route.dial,
    expected: route.expected,
    source: record.sourceIdentity,
    sourceIp: remote.ip,
  };
  const headers = {
    authority: record.hboneAddress,
    baggage: baggageHeader(source),
    forwarded: formatForwarded({ source: remote, host: route.service?.hostname }),
    traceparent: ctx.traceparent,
  };
  const tunnel = await pod.pool.connect(target, headers, permit.signal);
  record.destinationIdentity = tunnel.peer;
  account.trace?.('connect', `tunnel to ${tunnel.peer.namespace}/${tunnel.peer.serviceAccount} stands`);
  return tunnel.stream;
}

export function describeRoute(route: OutboundForward): string {
  const service = route.service ? ` for service ${serviceKey(route.service)}` : '';
  const to = formatSocketAddr(route.target);
  switch (route.kind) {
    case 'passthrough':
      return `plain TCP to ${to}${service}, unknown to the mesh`;
    case 'plain':
      return `plain TCP to ${to}${service}, not in the mesh`;
    case 'hbone':
      return `HBONE to ${formatSocketAddr(route.dial)} for ${to}${service}`;
  }
}
