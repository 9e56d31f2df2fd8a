/** Plain text to a pod (ambient-wire 2.5): the same stages, with nobody's identity. */
import { MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, type SocketAddr } from '../../common/core/net.ts';
import { bypassed } from '../../common/mesh/bypass.ts';
import { inboundService } from '../../common/mesh/inbound.ts';
import { type Accepted, refuse } from './accept.ts';
import { connectToApp } from './connect.ts';
import { decidePlaintext, type InboundQuestion } from './decide-inbound.ts';
import { govern } from './govern.ts';
import { identifyPod, inboundDestination } from './identify.ts';
import { informInbound } from './inform.ts';
import type { ProxiedPod } from './pod.ts';
import { relayWith } from './relay.ts';
import { openAccount, type ProxyRuntime } from './runtime.ts';

/** Settles when the connection is over. Never rejects. */
export async function handlePlaintext(accepted: Accepted, pod: ProxiedPod, runtime: ProxyRuntime): Promise<void> {
  const { socket, remote } = accepted;
  let destination: SocketAddr | undefined;
  let unknown: unknown;
  try {
    destination = inboundDestination(accepted, runtime.originalDestination);
  } catch (e) {
    unknown = e;
  }
  const account = openAccount(
    runtime,
    {
      direction: 'inbound',
      sourceAddress: remote,
      destinationAddress: destination ?? accepted.local,
      mtls: false,
    },
    destination,
  );
  const governed = govern(runtime);
  const { permit } = governed;
  try {
    if (!destination) throw unknown;
    account.trace?.('accept', `plain text from ${formatSocketAddr(remote)} to ${formatSocketAddr(destination)}`);
    const local = await identifyPod(pod);
    account.record.destination = local;
    const informed = informInbound(runtime, {
      local,
      remote: remote.ip,
      authority: undefined,
      network: runtime.network,
    });
    if (informed) await informed;
    account.record.source = runtime.store.workloadByIp(runtime.network, remote.ip);
    const { ownPorts } = pod;
    const question: InboundQuestion = {
      local,
      source: remote.ip,
      identity: undefined,
      ownPorts,
      compat: runtime.compat,
    };
    const wanted = destination;
    const decision = governed.decide(question, () => decidePlaintext(runtime.store, question, wanted, permit));
    if (decision.kind === 'deny') {
      account.trace?.('decide', `refused: ${decision.reason}`);
      account.denied(decision);
      refuse(socket);
      return;
    }
    account.trace?.('decide', `allowed to ${formatSocketAddr(decision.target)}`);
    const service = inboundService(runtime.store, local, undefined, decision.target.port);
    account.record.service = service;
    const past = bypassed(runtime.store, local, service, undefined);
    if (past) runtime.bypassed(past, local);
    const ahead = { downstream: socket, counters: account.counters, permit: permit.signal };
    const app = await connectToApp(pod, remote.ip, decision.target, runtime.tools, permit.signal, ahead);
    if (permit.withdrawn !== undefined && !runtime.engine.begun(socket, app)) {
      app.destroy();
      throw new MeshError('CANCELLED', permit.withdrawn);
    }
    await relayWith(permit, socket, app, account, runtime, {
      pod,
      inbound: { source: remote.ip, target: decision.target },
    });
  } catch (e) {
    account.failed(e);
    refuse(socket);
  } finally {
    governed.release();
  }
}
