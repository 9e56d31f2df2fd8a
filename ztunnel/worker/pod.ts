/** One pod inside a worker: its listeners, its stock of sockets, its HBONE server and pool, and the workload that it is. */

import { type Fd, millis } from '../../common/core/brand.ts';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import type { CancelSignal } from '../../common/core/cancel.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { isLoopback, type SocketAddr } from '../../common/core/net.ts';
import { Roster, type Seat } from '../../common/core/roster.ts';
import type { SocketSource } from '../../common/hbone/again.ts';
import type { HbonePool, HboneServer } from '../../common/hbone/types.ts';
import type { WireSettings } from '../../common/hbone/wire.ts';
import type { CertificateStore } from '../../common/identity/types.ts';
import { identityOf } from '../../common/mesh/address.ts';
import type { Workload } from '../../common/mesh/types.ts';
import type { Revocation } from '../../common/tls/revocation.ts';
import type { WorkloadInfo } from '../../common/zds/types.ts';
import type { PodMessage, SocketKind } from '../control/messages.ts';
import type { DnsServer } from '../dns/server.ts';
import type { Listener } from '../engine/engine.ts';
import { type Accepted, refuse } from '../proxy/accept.ts';
import { connectFromPod } from '../proxy/connect.ts';
import { handleTunnel } from '../proxy/inbound.ts';
import { handleOutbound } from '../proxy/outbound.ts';
import { handlePlaintext } from '../proxy/passthrough.ts';
import type { ProxiedPod } from '../proxy/pod.ts';
import { ownPorts } from '../proxy/pod.ts';
import type { ProxyRuntime } from '../proxy/runtime.ts';
import { handleSocks, type NameLookup, type SocksOptions } from '../socks5/server.ts';
import type { DescriptorBudget } from './descriptors.ts';
import { SocketStock } from './socket-stock.ts';

/** Names of the counters of refused connections. */
export type Refusal = 'descriptors' | 'direct' | 'handshake' | 'revoked' | 'socks5';

export interface PodServices {
  readonly runtime: ProxyRuntime;
  readonly certificates: CertificateStore;
  readonly budget: DescriptorBudget;
  /** This node; undefined: every workload counts as local. */
  readonly nodeName: string | undefined;
  readonly clusterId: string;
  readonly pool: { readonly maxStreamsPerConnection: number; readonly unusedReleaseMs: number };
  readonly revocation: Revocation | undefined;
  readonly wire: WireSettings;
  readonly requestSockets: (pod: number, kind: SocketKind, count: number) => void;
  readonly closeFd: (fd: Fd) => void;
  readonly refused: (why: Refusal) => void;
  /** A connection waited for the mesh to know its pod. */
  readonly held: (outcome: 'released' | 'refused', ms: number) => void;
  /** Serves DNS on the listener. Takes the descriptor over. */
  readonly serveDns: (role: 'dnsUdp' | 'dnsTcp', fd: Fd, pod: WorkerPod) => DnsServer;
  /** What the pod's DNS proxy would answer. */
  readonly lookup: (pod: WorkerPod, ...name: Parameters<NameLookup>) => ReturnType<NameLookup>;
}

/** ms (ambient-wire 2.2). */
const workloadWait = 5_000;
/** ms for handshakes that have begun: capture ended, or turned to another proxy, before the pod was dropped. */
const lastAccepts = 500;
/** ms that a tunnel's connection gets to close in order once its last stream has ended. */
const lastWords = 500;

export class WorkerPod implements ProxiedPod {
  readonly id: number;
  readonly uid: string;
  readonly netns: string;
  readonly info: WorkloadInfo;
  readonly ownPorts: ReadonlySet<number>;
  readonly hidesClients: boolean;
  readonly pool: HbonePool;
  readonly stock: SocketStock;
  readonly #services: PodServices;
  readonly #server: HboneServer;
  readonly #listeners: { readonly fd: Fd; readonly role: PodMessage['listeners'][number]['role'] }[];
  readonly #socks: SocksOptions;
  readonly #acceptors: Listener[] = [];
  readonly #dns: DnsServer[] = [];
  readonly #connections = new Roster<Pick<ByteStream, 'resetAndDestroy'>>();
  readonly #spares = new Map<SocketKind, SocketSource>();
  readonly #gone = new AbortController();
  readonly #waiting = new Set<(workload: Workload) => void>();
  #workload: Workload | undefined;
  #onIdle: (() => void) | undefined;

  /** Takes the listeners' descriptors over. Accepts nothing before `serve`. */
  constructor(message: PodMessage, fds: readonly Fd[], services: PodServices) {
    const { runtime, certificates } = services;
    this.id = message.pod;
    this.uid = message.uid;
    this.netns = message.netns;
    this.info = message.info;
    this.ownPorts = ownPorts(message.listeners);
    this.hidesClients = message.hidesClients;
    this.#services = services;
    this.#socks = {
      lookup: (name, signal) => services.lookup(this, name, signal),
      refused: (reason, remote) => this.#refused('socks5', remote, reason),
    };
    this.#listeners = message.listeners.map(({ role }, i) => ({ role, fd: fds[i]! }));
    this.stock = new SocketStock({
      request: (kind, count) => services.requestSockets(this.id, kind, count),
      closeFd: services.closeFd,
    });
    this.pool = runtime.engine.createPool({
      clock: runtime.clock,
      certificate: (identity) => certificates.get(identity, this.#gone.signal),
      dial: (address, signal) => connectFromPod(this, address, runtime.tools, signal),
      revocation: services.revocation,
      ...services.pool,
      wire: services.wire,
    });
    this.#server = runtime.engine.createServer({
      clock: runtime.clock,
      certificate: async () => {
        const workload = this.workload() ?? (await this.waitForWorkload());
        return certificates.get(identityOf(workload), this.#gone.signal);
      },
      revocation: services.revocation,
      onTunnel: (tunnel) => void handleTunnel(tunnel, this, runtime),
      onError: (error, remote) => {
        const revoked = error instanceof MeshError && error.code === 'CERT_REVOKED';
        this.#refused(revoked ? 'revoked' : 'handshake', remote, describeError(error));
      },
      wire: services.wire,
    });
  }

  /** Starts accepting. Call once the mesh is known: until then connections wait in the backlog. */
  serve(): void {
    this.stock.prime('outbound4');
    this.stock.prime('inbound4');
    for (const { role, fd } of this.#listeners.splice(0)) {
      switch (role) {
        case 'outbound':
          this.#accept(fd, (a) => this.#track(a, handleOutbound(a, this, this.#services.runtime)));
          break;
        case 'socks5':
          this.#accept(fd, (a) => this.#track(a, handleSocks(a, this, this.#services.runtime, this.#socks)));
          break;
        case 'plaintext':
          this.#accept(fd, (a) => this.#track(a, handlePlaintext(a, this, this.#services.runtime)));
          break;
        case 'hbone':
          this.#accept(fd, (a) => this.#serveHbone(a));
          break;
        case 'dnsUdp':
        case 'dnsTcp':
          this.#dns.push(this.#services.serveDns(role, fd, this));
          break;
      }
    }
  }

  workload(): Workload | undefined {
    this.#workload ??= this.#findWorkload();
    return this.#workload;
  }

  waitForWorkload(): Promise<Workload> {
    const { runtime, held } = this.#services;
    const { clock } = runtime;
    const start = clock.now();
    return new Promise((resolve, reject) => {
      const found = (workload: Workload) => {
        timer.cancel();
        this.#waiting.delete(found);
        held('released', clock.now() - start);
        resolve(workload);
      };
      const timer = clock.after(millis(workloadWait), () => {
        this.#waiting.delete(found);
        held('refused', clock.now() - start);
        const { namespace, name, serviceAccount } = this.info;
        const who = `pod ${namespace}/${name} with service account ${serviceAccount}`;
        reject(new MeshError('UNKNOWN_SOURCE', `${who} is not known to the mesh on this node`));
      });
      this.#waiting.add(found);
      this.#askForWorkload();
    });
  }

  /** The store has changed; returns whether this pod's own workload did. */
  meshChanged(): boolean {
    const before = this.#workload;
    this.#workload = undefined;
    const now = this.workload();
    if (now) for (const found of [...this.#waiting]) found(now);
    return now !== before;
  }

  socket(kind: SocketKind, signal: CancelSignal): Fd | Promise<Fd> {
    const fd = this.stock.take(kind);
    return fd === undefined ? this.stock.wait(kind, signal).then((f) => this.#admitted(f)) : this.#admitted(fd);
  }

  spares(kind: SocketKind): SocketSource {
    let source = this.#spares.get(kind);
    if (!source) {
      source = { spare: () => this.#spare(kind) };
      this.#spares.set(kind, source);
    }
    return source;
  }

  get highestFd(): number {
    return this.#services.budget.ceiling - 1;
  }

  hold(connection: { resetAndDestroy(): void }): () => void {
    if (this.#gone.signal.aborted) connection.resetAndDestroy();
    const seat = this.#connections.enter(connection);
    return () => this.#release(seat);
  }

  /** Whether a connection that was accepted fits into the budget of descriptors; one that does not is counted and logged. */
  admits({ fd, remote }: Accepted): boolean {
    if (this.#services.budget.admits(fd)) return true;
    this.#refused('descriptors', remote, `descriptor ${fd} is too near the limit of open files`);
    return false;
  }

  /**
   * Goes on accepting for half a second, then nothing new; resolves when the last connection has ended, or was cut at the deadline.
   * The peers of tunnels are told by GOAWAY when accepting ends; a plain connection that is cut is reset, since an orderly end
   * would make what was transferred look complete.
   */
  async drain(deadlineMs: number): Promise<void> {
    const { clock } = this.#services.runtime;
    const accepting = Math.min(lastAccepts, deadlineMs / 2);
    await this.acceptLast(accepting);
    const left = deadlineMs - accepting;
    const cut = Promise.withResolvers<void>();
    const timer = clock.after(millis(left), () => {
      this.#cutConnections();
      cut.resolve();
    });
    const idle =
      this.#connections.size === 0
        ? Promise.resolve()
        : new Promise<void>((resolve) => {
            this.#onIdle = resolve;
          });
    // A connection that was accepted last may still be about to open its tunnel.
    const outbound = idle.then(() => this.pool.drain(lastWords));
    // DNS goes on until the end: a datagram that is lost costs its asker seconds.
    const answered = Promise.race([Promise.all(this.#dns.map((dns) => dns.answered())), cut.promise]);
    await Promise.all([this.#server.drain(left), outbound, answered]);
    timer.cancel();
    this.close();
  }

  /** Cuts everything now. */
  close(): void {
    this.stopAccepting();
    for (const dns of this.#dns.splice(0)) dns.stop();
    this.#gone.abort();
    this.#cutConnections();
    this.#server.close();
    this.pool.close();
    const { memory } = this.#services.runtime.engine;
    for (const source of this.#spares.values()) memory?.giveBack(source);
    this.stock.close();
  }

  #cutConnections(): void {
    for (const socket of this.#connections) socket.resetAndDestroy();
  }

  /** For listeners that nobody else has: what waits there would be reset. Resolves when nothing is accepted any more. */
  async acceptLast(ms: number = lastAccepts): Promise<void> {
    await new Promise<void>((resolve) => void this.#services.runtime.clock.after(millis(ms), resolve));
    // Of a busy process the timer may come before it has looked at its sockets again, which it does between timers and this.
    await new Promise((resolve) => setImmediate(resolve));
    this.stopAccepting();
  }

  /** What waits in the backlogs is for whoever else has the listeners. */
  stopAccepting(): void {
    for (const acceptor of this.#acceptors.splice(0)) acceptor.close();
    for (const { fd } of this.#listeners.splice(0)) this.#services.closeFd(fd);
  }

  #accept(fd: Fd, handle: (accepted: Accepted) => void): void {
    const { engine, log } = this.#services.runtime;
    const onAccepted = (accepted: Accepted) => {
      if (this.admits(accepted)) handle(accepted);
      else refuse(accepted.socket);
    };
    const onError = (e: Error) => log.error('a listener failed', { uid: this.uid, error: e.message });
    this.#acceptors.push(engine.accept(fd, onAccepted, onError));
  }

  /** Only steered or redirected connections carry the pod's address; one to loopback came from inside the pod, past capture. */
  #serveHbone(accepted: Accepted): void {
    const { socket, remote, local } = accepted;
    if (isLoopback(local.ip)) {
      this.#refused('direct', remote, `a call of port ${local.port}, which is the proxy's own`);
      refuse(socket);
      return;
    }
    this.#server.serve(socket, remote, local);
  }

  #track({ socket }: Accepted, done: Promise<void>): void {
    const seat = this.#connections.enter(socket);
    void done.then(() => this.#release(seat));
  }

  #release(seat: Seat): void {
    this.#connections.leave(seat);
    if (this.#connections.size === 0) this.#onIdle?.();
  }

  #spare(kind: SocketKind): Fd | undefined {
    if (this.#gone.signal.aborted) return undefined;
    const fd = this.stock.spare(kind);
    if (fd === undefined || this.#services.budget.admitsUpstream(fd)) return fd;
    this.#services.closeFd(fd);
    return undefined;
  }

  /** Counts and logs once. */
  #refused(reason: Refusal, remote: SocketAddr, error: string): void {
    const { refused, runtime } = this.#services;
    refused(reason);
    runtime.log.warn('refused a connection', { reason, uid: this.uid, 'src.addr': remote.ip, error });
  }

  #admitted(fd: Fd): Fd {
    if (this.#services.budget.admitsUpstream(fd)) return fd;
    this.#services.closeFd(fd);
    this.#services.refused('descriptors');
    throw new MeshError('DESCRIPTORS_EXHAUSTED', `descriptor ${fd} is too near the limit of open files`);
  }

  /** On demand; istiod gives the workloads of a node unasked, but not where the node is not known. */
  #askForWorkload(): void {
    const { runtime, clusterId } = this.#services;
    const { namespace, name } = this.info;
    // Without an answer the wait for the workload ends by itself.
    runtime.demand?.need([`${clusterId}//Pod/${namespace}/${name}`])?.catch(() => undefined);
  }

  /** Name, namespace and service account must all be those that the agent vouched for, on this node. */
  #findWorkload(): Workload | undefined {
    const { runtime, nodeName } = this.#services;
    const { namespace, name, serviceAccount } = this.info;
    return runtime.store
      .workloadsByName(namespace, name)
      .find((w) => w.serviceAccount === serviceAccount && (nodeName === undefined || w.node === nodeName));
  }
}
