/** The whole agent on real SEQPACKET sockets; Kubernetes, the kernel and the capture are fakes that keep a journal. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Fd, fd, millis, type NetnsCookie } from '../../common/core/brand.ts';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { parseIp } from '../../common/core/net.ts';
import { namespaceKind, type Pod, type PodStatus, podKind } from '../../common/kube/kinds/core.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { until } from '../../common/testing/until.ts';
import { seqpacketListen } from '../../native/index.ts';
import { ScriptedZtunnel } from '../../test/harness/scripted-ztunnel.ts';
import { Agent } from '../agent.ts';
import type { CaptureBackend, CapturedPod, PodInNetns, SteeringTargets } from '../capture/types.ts';
import type { Discovery, NetnsLife, PodNetns } from '../discovery/pod-netns.ts';
import { dataplaneModeLabel } from '../enrolment.ts';
import { redirectionAnnotation } from '../pods/announce.ts';
import type { PodKernel } from '../pods/kernel.ts';

/** Captures nothing and remembers by cookie, as the real one does. */
export class FakeCapture implements CaptureBackend {
  readonly kind = 'ebpf';
  proxyPorts: 'steered' | 'fixed' = 'steered';
  readonly journal: string[];
  readonly captured = new Map<NetnsCookie, string>();
  failWith: Error | undefined;
  readonly proxies: string[] = [];

  constructor(journal: string[]) {
    this.journal = journal;
  }

  start(): void {}

  addProxy(cgroup: string): void {
    this.proxies.push(cgroup);
  }

  enrol({ uid, ips, cookie, wishes: { dns, plaintext } }: CapturedPod, targets: SteeringTargets | undefined): void {
    if (this.failWith) throw this.failWith;
    const to = targets === undefined ? ' to fixed ports' : '';
    const wishes = `${dns ? '' : ' without DNS'}${plaintext === 'direct' ? ', plaintext direct' : ''}`;
    this.journal.push(`enrol ${uid} ${ips.join()}${to}${wishes}`);
    this.captured.set(cookie, uid);
  }

  setPlaintext(pod: CapturedPod, to: string): void {
    this.journal.push(`plaintext of ${pod.uid} ${to}`);
  }

  withdraw(pod: CapturedPod): void {
    this.journal.push(`withdraw ${pod.uid}`);
    this.captured.delete(pod.cookie);
  }

  remove({ uid }: PodInNetns): void {
    this.journal.push(`remove ${uid}`);
  }

  enrolled(): readonly string[] {
    return [...this.captured.values()];
  }

  stands({ uid, cookie }: PodInNetns): boolean {
    return this.captured.get(cookie) === uid;
  }

  unmet(): readonly string[] {
    return [];
  }

  close(): void {}

  sweep(): readonly string[] {
    return [];
  }

  counters() {
    return { outbound_captured: 1 };
  }

  destroy(): void {
    this.captured.clear();
  }
}

/** Pods live in namespaces by UID; a test starts and ends their processes. */
export class FakeKernel implements PodKernel {
  readonly journal: string[];
  readonly held = new Set<Fd>();
  /** Whose packets may be large. */
  readonly large = new Set<Fd>();
  readonly #netns = new Map<string, string>();
  /** What the runtime has made: netns by path. */
  readonly paths = new Map<string, string>();
  readonly #watchers = new Map<string, () => void>();
  #cookies = new Map<Fd, NetnsCookie>();

  constructor(journal: string[]) {
    this.journal = journal;
  }

  /** The pod's first process starts in this namespace. */
  populate(uid: string, netns: string): void {
    this.#netns.set(uid, netns);
  }

  /** Its last process ends. */
  depopulate(uid: string): void {
    this.#netns.delete(uid);
    this.#watchers.get(uid)?.();
  }

  discover(uid: string) {
    const key = this.#netns.get(uid);
    if (key === undefined) return { kind: 'absent', reason: 'no process' } as const;
    return this.#found(key, { kind: 'processes', cgroup: uid });
  }

  open(path: string) {
    const key = this.paths.get(path);
    if (key === undefined) return { kind: 'absent', reason: `${path} does not exist` } as const;
    return this.#found(key, { kind: 'path', path });
  }

  enlargePackets(netns: Fd): void {
    this.large.add(netns);
  }

  restorePackets(netns: Fd): void {
    this.large.delete(netns);
  }

  isInhabited({ key, life }: PodNetns): boolean {
    return (life.kind === 'path' ? this.paths.get(life.path) : this.#netns.get(life.cgroup)) === key;
  }

  watch({ life }: PodNetns, onChange: () => void) {
    if (life.kind === 'path') return { close: () => undefined };
    this.#watchers.set(life.cgroup, onChange);
    return { close: () => void this.#watchers.delete(life.cgroup) };
  }

  startedAt(): number {
    return 0;
  }

  cgroupOf(pid: number): string {
    return `cgroup of ${pid}`;
  }

  cookie(netns: Fd): NetnsCookie {
    return this.#cookies.get(netns)!;
  }

  #found(key: string, life: NetnsLife): Discovery {
    const opened = fd(openSync('/dev/null', 'r'));
    this.held.add(opened);
    this.#cookies.set(opened, BigInt(key.replace('netns-', '')) as NetnsCookie);
    return { kind: 'found', netns: { fd: opened, key, life } };
  }

  close(netns: Fd): void {
    assert.ok(this.held.delete(netns), 'a descriptor is closed once');
    closeSync(netns);
  }
}

export class World {
  readonly journal: string[] = [];
  readonly warnings: string[] = [];
  readonly kube = new FakeKube();
  readonly clock = new FakeClock();
  readonly capture = new FakeCapture(this.journal);
  readonly kernel = new FakeKernel(this.journal);
  readonly zdsPath: string;
  agent: Agent;
  readonly #ztunnels: ScriptedZtunnel[] = [];

  constructor(t: TestContext) {
    const dir = mkdtempSync(join(tmpdir(), 'aq-agent-'));
    this.zdsPath = join(dir, 'zds');
    this.agent = this.#newAgent();
    t.after(() => {
      for (const ztunnel of this.#ztunnels) ztunnel.close();
      this.agent.stop();
      rmSync(dir, { recursive: true });
    });
  }

  /** An agent that runs, and namespace `shop` in the mesh. */
  static async running(t: TestContext): Promise<World> {
    const w = new World(t);
    await w.namespace('shop', 'ambient');
    await w.agent.start();
    return w;
  }

  async restartAgent(): Promise<void> {
    this.agent.stop();
    this.agent = this.#newAgent();
    await this.agent.start();
  }

  ztunnel(hello?: Uint8Array | 'mute'): ScriptedZtunnel {
    const ztunnel = new ScriptedZtunnel(this.zdsPath, hello);
    this.#ztunnels.push(ztunnel);
    return ztunnel;
  }

  async namespace(name: string, mode?: string): Promise<void> {
    const labels = mode === undefined ? {} : { [dataplaneModeLabel]: mode };
    await this.kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  }

  setMode(namespace: string, mode: string | null): Promise<unknown> {
    return this.kube.patch(
      namespaceKind,
      { name: namespace },
      { metadata: { labels: { [dataplaneModeLabel]: mode } } },
    );
  }

  /** A running pod whose processes live in `netns-<number>`. */
  async pod(name: string, uid: string, netns: number, ip = '10.0.0.1', node = 'n1'): Promise<Pod> {
    this.kernel.populate(uid, `netns-${netns}`);
    return this.#create(name, uid, node, { phase: 'Running', podIPs: [{ ip }, { ip: 'fd00::1' }] });
  }

  /** One that its node's runtime is about to start: no process, no address. */
  async newPod(name: string, uid: string): Promise<Pod> {
    return this.#create(name, uid, 'n1', { phase: 'Pending' });
  }

  #create(name: string, uid: string, node: string, status: PodStatus): Promise<Pod> {
    return this.kube.create<Pod>(podKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'shop', uid },
      spec: { containers: [], nodeName: node, serviceAccountName: 'cart' },
      status,
    });
  }

  /** The CNI plugin's call; the runtime has made `netns-<number>` at `/run/netns/<number>`. */
  plugin(call: 'add' | 'del' | 'check', name: string, netns: number, uid?: string, namespace = 'shop'): Promise<void> {
    const ips = call === 'del' ? [] : [parseIp(`10.0.1.${netns}`)!];
    return this.agent.pods[call]({ netns: `/run/netns/${netns}`, name, namespace, uid, ips });
  }

  /** Waits until the annotation has this value. */
  announced(name: string, value: string | undefined): Promise<unknown> {
    return until(`${name} is announced as ${value}`, async () => {
      const pod = await this.kube.get(podKind, { namespace: 'shop', name });
      return pod !== undefined && pod.metadata.annotations?.[redirectionAnnotation] === value;
    });
  }

  /** Lets timers fire until the condition holds. */
  async step(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await until(what, async () => {
      if (await condition()) return true;
      this.clock.advance(20);
      return false;
    });
  }

  #newAgent(): Agent {
    return new Agent({
      nodeName: 'n1',
      excludedNamespaces: new Set(['kube-system']),
      withdrawGrace: millis(1_000),
      ztunnelCgroup: undefined,
      plugin: undefined,
      kube: this.kube,
      kernel: this.kernel,
      capture: this.capture,
      clock: this.clock,
      log: createLogger(
        { levels: new LogLevels('warn'), format: 'plain', write: (l) => void this.warnings.push(l) },
        'cni',
      ),
      listen: { zds: () => seqpacketListen(this.zdsPath), steering: () => seqpacketListen(`${this.zdsPath}.steer`) },
    });
  }
}
