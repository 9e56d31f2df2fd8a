/** An HBONE stream to a pod (ambient-wire 2.4): identify -> decide -> connect -> relay -> account. */
import type { ByteStream } from '../../common/core/byte-stream.ts';
import { MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, loopbackOf, type SocketAddr } from '../../common/core/net.ts';
import type { Begun, Heirs } from '../../common/hbone/again.ts';
import { parseAuthority, parseBaggage, parseForwarded, parseTraceparent } from '../../common/hbone/headers.ts';
import type { RelayCounters } from '../../common/hbone/relay.ts';
import type { InboundTunnel } from '../../common/hbone/types.ts';
import { formatSpiffe, sameIdentity } from '../../common/identity/spiffe.ts';
import { identityOf } from '../../common/mesh/address.ts';
import { bypassed } from '../../common/mesh/bypass.ts';
import { inboundService } from '../../common/mesh/inbound.ts';
import type { Workload } from '../../common/mesh/types.ts';
import { baggageHeader } from '../../common/telemetry/baggage.ts';
import type { ConnectionRecord } from './account.ts';
import { connectFromPod, connectToApp, wayToApp } from './connect.ts';
import { decideTunnel, type InboundQuestion } from './decide-inbound.ts';
import { govern } from './govern.ts';
import { identifyPod } from './identify.ts';
import { informInbound } from './inform.ts';
import type { ProxiedPod } from './pod.ts';
import { proxyHeader } from './proxy-protocol.ts';
import { relayWith } from './relay.ts';
import { openAccount, type ProxyRuntime } from './runtime.ts';

/** Settles when the stream is over. Never rejects. */
export async function handleTunnel(tunnel: InboundTunnel, pod: ProxiedPod, runtime: ProxyRuntime): Promise<void> {
  const { request, peer, remote } = tunnel;
  const traceId = request.traceparent && parseTraceparent(request.traceparent)?.traceId;
  const authority = parseAuthority(request.authority);
  const account = openAccount(
    runtime,
    {
      direction: 'inbound',
      sourceAddress: remote,
      destinationAddress: tunnel.local,
      hboneAddress: request.authority,
      sourceIdentity: peer,
      mtls: true,
      traceId,
    },
    authority?.kind === 'address' ? authority.address : undefined,
  );
  const governed = govern(runtime);
  const { permit } = governed;
  const asOf = runtime.engine.memory?.generation;
  try {
    account.trace?.('accept', `CONNECT ${request.authority} from ${formatSocketAddr(remote)}`);
    const local = await identifyPod(pod);
    account.record.destination = local;
    account.record.destinationIdentity = identityOf(local);
    const informed = informInbound(runtime, { local, remote: remote.ip, authority, network: runtime.network });
    if (informed) await informed;
    account.record.source = inboundSource(tunnel, runtime);
    if (!account.record.source && runtime.responseBaggage && request.baggage !== undefined) {
      account.record.sourceBaggage = parseBaggage(request.baggage);
    }
    account.trace?.('identify', `${peer.namespace}/${peer.serviceAccount} to ${local.namespace}/${local.name}`);
    const { ownPorts } = pod;
    const question: InboundQuestion = { local, source: remote.ip, identity: peer, ownPorts, compat: runtime.compat };
    const call = { authority: request.authority, destination: tunnel.local.ip, network: runtime.network };
    const decision = governed.decide(question, () => decideTunnel(runtime.store, question, call, permit));
    if (decision.kind === 'deny') {
      account.trace?.('decide', `refused: ${decision.reason}`);
      tunnel.refuse(decision.status);
      account.denied(decision);
      return;
    }
    account.trace?.('decide', `allowed to ${formatSocketAddr(decision.target)}`);
    const { target, announce } = decision;
    const forwarded = request.forwarded ? parseForwarded(request.forwarded)?.host : undefined;
    const named = authority?.kind === 'hostname' ? authority.hostname : undefined;
    const service = inboundService(runtime.store, local, forwarded ?? named, target.port);
    account.record.service = service;
    const past = bypassed(runtime.store, local, service, peer);
    if (past) runtime.bypassed(past, local);
    const answer = runtime.responseBaggage ? { baggage: baggageHeader(local) } : {};
    const app = announce
      ? await connectToTunnel(tunnel, pod, runtime, target, announce)
      : await connectToApp(pod, remote.ip, target, runtime.tools, tunnel.signal, {
          downstream: tunnel.stream,
          counters: account.counters,
          answer,
          permit: permit.signal,
        });
    account.trace?.('connect', `connected to ${formatSocketAddr(target)}`);
    // A short connection may be over before this turn: that is no client that went away.
    const begun = runtime.engine.begun(tunnel.stream, app);
    if (!begun && (tunnel.signal.aborted || permit.withdrawn !== undefined)) {
      app.destroy();
      throw new MeshError('CANCELLED', permit.withdrawn ?? 'the client went away');
    }
    // What follows its own rule each time is asked each time.
    const plain = !announce && !past && !runtime.demand && !account.trace;
    if (plain && asOf !== undefined && tunnel.again) {
      const way = wayToApp(pod, remote.ip, target, runtime.tools);
      const { record } = account;
      tunnel.again({ asOf, target, answer, ...way }, (sourceAddress) =>
        heirsOf(runtime, pod, { ...record, sourceAddress }, question, target),
      );
    }
    await relayWith(permit, tunnel.accept(answer), app, account, runtime, {
      pod,
      inbound: { source: remote.ip, target },
    });
  } catch (e) {
    if (!tunnel.signal.aborted) tunnel.refuse(permit.withdrawn === undefined ? 503 : 401);
    account.failed(e);
  } finally {
    governed.release();
  }
}

/** Tunnels that the engine accepts as this one was. */
function heirsOf(
  runtime: ProxyRuntime,
  pod: ProxiedPod,
  record: ConnectionRecord,
  question: InboundQuestion,
  target: SocketAddr,
): Heirs {
  const accountOf = ({ traceparent }: Pick<Begun, 'traceparent'>, counters?: RelayCounters) => {
    const traceId = traceparent && parseTraceparent(traceparent)?.traceId;
    return openAccount(runtime, { ...record, traceId }, target, counters);
  };
  return {
    begun(tunnel) {
      const account = accountOf(tunnel, tunnel.counters);
      const governed = govern(runtime);
      const { permit } = governed;
      permit.signal.addEventListener('abort', () => tunnel.cut(permit.signal.reason as MeshError), { once: true });
      account.opened();
      const inbound = { source: question.source, target };
      const seat = runtime.open.enter({ ends: tunnel, account, pod, inbound });
      tunnel.onOver((result) => {
        runtime.open.leave(seat);
        governed.release();
        account.relayed(result, permit.withdrawn);
      });
      governed.inherit(question, target, tunnel.stale);
    },
    missed: (tunnel, error) => accountOf(tunnel).failed(error),
  };
}

/** An app that takes a PROXY header, which is the first that it gets: it speaks for the client, so the socket need not. */
async function connectToTunnel(
  { remote, peer, signal }: InboundTunnel,
  pod: ProxiedPod,
  { tools, tunnelOverLoopback }: ProxyRuntime,
  target: SocketAddr,
  announce: SocketAddr,
): Promise<ByteStream> {
  const app = tunnelOverLoopback
    ? await connectFromPod(pod, { ip: loopbackOf(target.ip), port: target.port }, tools, signal)
    : await connectToApp(pod, remote.ip, target, tools, signal);
  app.write(proxyHeader({ source: remote, destination: announce, spiffe: formatSpiffe(peer) }));
  return app;
}

/** For labels only. An address that has moved on to another workload must not lend it the connection. */
function inboundSource(tunnel: InboundTunnel, runtime: ProxyRuntime): Workload | undefined {
  const { forwardedNetwork } = tunnel.request;
  if (forwardedNetwork !== undefined && forwardedNetwork !== runtime.network) return undefined;
  const found = runtime.store.workloadByIp(runtime.network, tunnel.remote.ip);
  return found && sameIdentity(identityOf(found), tunnel.peer) ? found : undefined;
}
