/** Connections that another process handed over become this one's: judged again, registered and accounted before a byte moves. */
import { X509Certificate } from 'node:crypto';
import type { Fd } from '../../common/core/brand.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Begun } from '../../common/hbone/again.ts';
import type { CertificateStore } from '../../common/identity/types.ts';
import { identityOf } from '../../common/mesh/address.ts';
import type { Revocation } from '../../common/tls/revocation.ts';
import type { RestoredCarrier } from '../engine/hand-over.ts';
import { Account } from '../proxy/account.ts';
import { govern } from '../proxy/govern.ts';
import type { ProxiedPod } from '../proxy/pod.ts';
import type { ProxyRuntime } from '../proxy/runtime.ts';
import type { Restored } from './take.ts';
import type { MovedRelay, MovedTunnel, Unit } from './unit.ts';

export interface AdoptOptions {
  readonly runtime: ProxyRuntime;
  readonly pods: () => readonly ProxiedPod[];
  readonly certificates: CertificateStore;
  readonly revocation: Revocation | undefined;
  readonly closeFd: (fd: Fd) => void;
}

/** For `take`. */
export async function adopt(
  { pod: { uid, netns }, tunnel, relays }: Unit,
  fds: readonly Fd[],
  { runtime, pods, certificates, revocation, closeFd }: AdoptOptions,
): Promise<Restored> {
  const { handOver } = runtime.engine;
  const pod = pods().find((p) => p.uid === uid && p.netns === netns);
  const [state, ...sockets] = fds;
  if (!pod || !handOver || state === undefined) {
    fds.forEach(closeFd);
    throw new MeshError('PROTOCOL', pod ? 'its state did not come' : 'the successor does not serve the pod');
  }
  const restored = await handOver.restore(state, sockets, tunnel);
  try {
    sameTags(restored, relays);
    const watch = tunnel && revocation ? await watcher(tunnel, pod, certificates, revocation) : nobody;
    return {
      goLive() {
        const begun = restored.goLive(watch);
        for (const relay of relays) resume(relay, begun.get(relay.tag)!, pod, runtime);
      },
      discard: () => restored.discard(),
    };
  } catch (e) {
    restored.discard();
    throw e;
  }
}

type Watch = (cut: (error: MeshError) => void) => () => void;
const nobody: Watch = () => () => undefined;

function sameTags({ tags }: RestoredCarrier, relays: readonly MovedRelay[]): void {
  const described = relays.map(({ tag }) => tag).sort();
  if (described.join() === [...tags].sort().join()) return;
  throw new MeshError('PROTOCOL', "the engine's state has other connections than its description");
}

/** Lists of revoked certificates may have come since the handshake. */
async function watcher(
  { role, chain }: MovedTunnel,
  pod: ProxiedPod,
  certificates: CertificateStore,
  revocation: Revocation,
): Promise<Watch> {
  const identity = identityOf(pod.workload() ?? (await pod.waitForWorkload()));
  const { roots } = await certificates.get(identity, AbortSignal.timeout(rootsWait));
  const [leaf, ...sent] = chain.map((der) => new X509Certificate(der));
  if (!leaf) throw new MeshError('PROTOCOL', "the peer's certificate did not come");
  const side = role === 'client' ? 'source' : 'destination';
  const parsed = { leaf, sent, roots: roots.map((pem) => new X509Certificate(pem)) };
  return (cut) => revocation.watch(parsed, side, cut);
}

/** ms; the other process gives up later. */
const rootsWait = 2_000;

function resume(moved: MovedRelay, begun: Begun, pod: ProxiedPod, runtime: ProxyRuntime): void {
  const { record, elapsedMs, inbound } = moved;
  const { sink, clock } = runtime;
  const account = new Account(record, begun.counters, sink, clock, undefined, elapsedMs);
  account.resumed();
  const cut = (reason: Error) => begun.cut(reason);
  const release = pod.hold({ resetAndDestroy: () => cut(new MeshError('CANCELLED', 'the connection was cut')) });
  const seat = runtime.open.enter({ ends: begun, account, pod, inbound });
  const governed = inbound && govern(runtime);
  begun.onOver((result) => {
    runtime.open.leave(seat);
    release();
    governed?.release();
    account.relayed(result, governed?.permit.withdrawn);
  });
  if (!governed) return;
  const { permit } = governed;
  permit.signal.addEventListener('abort', () => cut(permit.signal.reason as MeshError), { once: true });
  const local = pod.workload() ?? record.destination;
  if (!local) {
    cut(new MeshError('UNKNOWN_SOURCE', 'the mesh does not know the pod any more'));
    return;
  }
  const { ownPorts } = pod;
  const identity = record.mtls ? record.sourceIdentity : undefined;
  const question = { local, source: inbound.source, identity, ownPorts, compat: runtime.compat };
  governed.inherit(question, inbound.target, true);
}
