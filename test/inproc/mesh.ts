/** A mesh in one process: the real stages, store, policies, TLS and HBONE; a fake network, CA and control plane. */
import type { Socket } from 'node:net';
import { type Fd, millis } from '../../common/core/brand.ts';
import { type Clock, systemClock } from '../../common/core/clock.ts';
import type { Compat } from '../../common/core/compat.ts';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Ip, Port, SocketAddr } from '../../common/core/net.ts';
import type { NameRecord } from '../../common/dns/system-lookup.ts';
import type { SocketSource } from '../../common/hbone/again.ts';
import type { HbonePool, HboneServer } from '../../common/hbone/types.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { WorkloadCertificate } from '../../common/identity/types.ts';
import { identityOf } from '../../common/mesh/address.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import type { Identity, Workload } from '../../common/mesh/types.ts';
import { createFakeCa, type FakeCa } from '../../common/testing/fake-ca.ts';
import type { Revocation } from '../../common/tls/revocation.ts';
import type { Demand } from '../../common/xds/demand.ts';
import type { WorkloadInfo } from '../../common/zds/types.ts';
import { nodeEngine } from '../../ztunnel/engine/node.ts';
import { OpenRelays } from '../../ztunnel/handover/open-relays.ts';
import type { ConnectionRecord, OpenTraffic, Outcome, TrafficSink } from '../../ztunnel/proxy/account.ts';
import { connectFromPod } from '../../ztunnel/proxy/connect.ts';
import { handleTunnel } from '../../ztunnel/proxy/inbound.ts';
import { nameResolver } from '../../ztunnel/proxy/names.ts';
import { handleOutbound } from '../../ztunnel/proxy/outbound.ts';
import { handlePlaintext } from '../../ztunnel/proxy/passthrough.ts';
import { ConnectionRegistry } from '../../ztunnel/proxy/permit.ts';
import type { ProxiedPod } from '../../ztunnel/proxy/pod.ts';
import { ownPorts } from '../../ztunnel/proxy/pod.ts';
import type { ProxyRuntime } from '../../ztunnel/proxy/runtime.ts';
import { handleSocks, type SocksOptions } from '../../ztunnel/socks5/server.ts';
import { FakeNet } from './net.ts';

export interface Settled {
  readonly record: ConnectionRecord;
  readonly outcome: Outcome;
  readonly opened: boolean;
}

export class RecordingSink implements TrafficSink {
  readonly open = new Set<ConnectionRecord>();
  readonly settled: Settled[] = [];
  readonly resolved: string[] = [];

  resolving(_source: Workload, hostname: string): void {
    this.resolved.push(hostname);
  }

  opened(record: ConnectionRecord): OpenTraffic {
    this.open.add(record);
    return {
      closed: (outcome) => {
        this.open.delete(record);
        this.settled.push({ record, outcome, opened: true });
      },
      left: () => void this.open.delete(record),
    };
  }

  resumed(record: ConnectionRecord): OpenTraffic {
    return this.opened(record);
  }

  failed(record: ConnectionRecord, outcome: Outcome): void {
    this.settled.push({ record, outcome, opened: false });
  }

  of(direction: 'inbound' | 'outbound'): readonly Settled[] {
    return this.settled.filter((s) => s.record.direction === direction);
  }
}

export interface InprocOptions {
  readonly compat?: Compat;
  /** Default: one of its own. Meshes that share one trust each other. */
  readonly ca?: FakeCa;
  /** Addresses come on demand. */
  readonly demand?: Demand;
  /** NETWORK of the proxies; default the empty one. */
  readonly network?: string;
  /** ms that a connection waits for its pod's workload. */
  readonly workloadWait?: number;
  /** Default: one certificate for each identity, issued when it is first asked for. */
  readonly certificate?: (identity: Identity) => Promise<WorkloadCertificate>;
  /** Default true. */
  readonly tunnelOverLoopback?: boolean;
  readonly revocation?: Revocation;
  /** Of the proxies; default the real one. */
  readonly clock?: Clock;
}

export class InprocMesh {
  readonly store = new MeshStore();
  readonly net: FakeNet;
  readonly sink = new RecordingSink();
  readonly registry = new ConnectionRegistry();
  readonly runtime: ProxyRuntime;
  readonly ca: FakeCa;
  readonly workloadWait: number;
  readonly trace: string[] = [];
  /** What DNS of the world outside says. */
  readonly names = new Map<string, readonly NameRecord[]>();
  /** Of all pods' HBONE servers. */
  readonly serverErrors: Error[] = [];
  readonly certificate: (identity: Identity) => Promise<WorkloadCertificate>;
  readonly revocation: Revocation | undefined;
  readonly #targets = new Map<Fd, SocketAddr>();
  /** Connections that came past a waypoint. */
  readonly bypassed: string[] = [];
  readonly #pods: InprocPod[] = [];
  readonly #certificates = new Map<string, Promise<WorkloadCertificate>>();
  #nextFd = 10;

  private constructor(net: FakeNet, ca: FakeCa, options: InprocOptions) {
    this.net = net;
    this.ca = ca;
    this.workloadWait = options.workloadWait ?? 5_000;
    this.revocation = options.revocation;
    this.certificate = options.certificate ?? ((identity) => this.#issuedOnce(identity));
    this.runtime = {
      store: this.store,
      demand: options.demand,
      engine: nodeEngine,
      clock: options.clock ?? systemClock,
      random: Math.random,
      registry: this.registry,
      open: new OpenRelays(),
      sink: this.sink,
      bypassed: (what, { name }) => void this.bypassed.push(`${what} ${name}`),
      policyLog: () => undefined,
      log: silentLogger,
      trace: () => (stage, what) => void this.trace.push(`${stage}: ${what}`),
      originalDestination: (fd) => this.#targets.get(fd),
      tools: {
        dial: (fd, to) => net.dial(fd, to),
        bindSocket: (fd, address) => net.bind(fd, address),
        closeFd: () => undefined,
        originalSource: 'auto',
        sourceLost: () => undefined,
      },
      resolveName: nameResolver(async (name) => this.names.get(name) ?? [], options.clock ?? systemClock, Math.random),
      network: options.network ?? '',
      compat: options.compat ?? new Set(),
      responseBaggage: true,
      tunnelOverLoopback: options.tunnelOverLoopback ?? true,
    };
    this.store.onChange((changes) => {
      if (changes.policies.size > 0 || changes.workloads.size > 0) this.registry.recheck();
    });
  }

  static async start(options: InprocOptions = {}): Promise<InprocMesh> {
    return new InprocMesh(await FakeNet.start(), options.ca ?? (await createFakeCa()), options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.#pods) pod.close();
    this.net.close();
  }

  #issuedOnce(identity: Identity): Promise<WorkloadCertificate> {
    const key = formatSpiffe(identity);
    let found = this.#certificates.get(key);
    if (!found) {
      found = this.ca.issue(identity);
      this.#certificates.set(key, found);
    }
    return found;
  }

  /** A captured pod; the mesh knows its workload only once that is in the store. */
  pod(workload: Workload): InprocPod {
    const pod = new InprocPod(workload, this);
    this.#pods.push(pod);
    return pod;
  }

  /** An accepted connection whose original destination is `target`; undefined: it was not captured. */
  accepted(target: SocketAddr | undefined): Fd {
    const fd = this.#nextFd++ as Fd;
    if (target) this.#targets.set(fd, target);
    return fd;
  }
}

export class InprocPod implements ProxiedPod {
  readonly uid: string;
  readonly netns = 'none';
  readonly info: WorkloadInfo;
  readonly ownPorts = ownPorts([{ port: 34_001 }, { port: 34_006 }]);
  readonly hidesClients = false;
  readonly highestFd = 1_024;
  readonly pool: HbonePool;
  readonly ip: Ip;
  readonly #mesh: InprocMesh;
  readonly #server: HboneServer;

  constructor(workload: Workload, mesh: InprocMesh) {
    this.uid = workload.uid;
    const { name, namespace, serviceAccount } = workload;
    this.info = { name, namespace, serviceAccount };
    this.ip = workload.addresses[0]!;
    this.#mesh = mesh;
    const { engine, clock, tools } = mesh.runtime;
    this.pool = engine.createPool({
      clock,
      certificate: mesh.certificate,
      dial: (address, signal) => connectFromPod(this, address, tools, signal),
      revocation: mesh.revocation,
    });
    this.#server = engine.createServer({
      clock,
      certificate: () => mesh.certificate(identityOf(workload)),
      onTunnel: (tunnel) => void handleTunnel(tunnel, this, mesh.runtime),
      onError: (error) => mesh.serverErrors.push(error),
      revocation: mesh.revocation,
    });
    mesh.net.listen(this.ip, 15_008, (socket, remote, local) => this.#server.serve(socket, remote, local));
  }

  close(): void {
    this.#server.close();
    this.pool.close();
  }

  /** The engine begins nothing by itself. */
  spares(): SocketSource {
    throw new Error('no socket is lent');
  }

  hold(): () => void {
    throw new Error('nothing is begun by the engine');
  }

  workload(): Workload | undefined {
    const { namespace, name, serviceAccount } = this.info;
    return this.#mesh.store.workloadsByName(namespace, name).find((w) => w.serviceAccount === serviceAccount);
  }

  waitForWorkload(): Promise<Workload> {
    return new Promise((resolve, reject) => {
      const stop = this.#mesh.store.onChange(() => {
        const now = this.workload();
        if (!now) return;
        stop();
        resolve(now);
      });
      systemClock.after(millis(this.#mesh.workloadWait), () => {
        stop();
        reject(new MeshError('UNKNOWN_SOURCE', `pod ${this.info.name} is not known`));
      });
    });
  }

  socket(): Fd {
    return this.#mesh.net.socket(this.ip);
  }

  /** The app's end of a connection that the pod opens to `target`. */
  async open(target: SocketAddr | undefined): Promise<Socket> {
    const { near, far } = await this.#mesh.net.pair();
    const accepted = {
      socket: far,
      fd: this.#mesh.accepted(target),
      remote: { ip: this.ip, port: 50_000 as Port },
      local: { ip: '127.0.0.1' as Ip, port: 34_001 as Port },
    };
    void handleOutbound(accepted, this, this.#mesh.runtime);
    return near;
  }

  /** The app's end of a connection to the pod's SOCKS port. */
  async openSocks(options: SocksOptions): Promise<Socket> {
    const { near, far } = await this.#mesh.net.pair();
    const loopback = (port: number) => ({ ip: '127.0.0.1' as Ip, port: port as Port });
    const accepted = {
      socket: far,
      fd: this.#mesh.accepted(undefined),
      remote: loopback(50_000),
      local: loopback(15_080),
    };
    void handleSocks(accepted, this, this.#mesh.runtime, options);
    return near;
  }

  /** A client's end of a plain-text connection to this pod. */
  async openPlain(client: Ip, port: number, local: Ip = this.ip, runtime = this.#mesh.runtime): Promise<Socket> {
    const { near, far } = await this.#mesh.net.pair();
    const accepted = {
      socket: far,
      fd: this.#mesh.accepted(undefined),
      remote: { ip: client, port: 51_000 as Port },
      local: { ip: local, port: port as Port },
    };
    void handlePlaintext(accepted, this, runtime);
    return near;
  }
}
