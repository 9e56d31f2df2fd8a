/**
 * One pod on its way into the mesh and out of it: carries out what step.ts says, one step at a time. Everything that counts
 * hangs on the pod's UID and on its network namespace, never on its name or address, so that a successor inherits nothing.
 */
import { type Fd, type Millis, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { assertNever, describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Ip } from '../../common/core/net.ts';
import { keyOf } from '../../common/kube/informer.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { WorkloadInfo, ZdsAck } from '../../common/zds/types.ts';
import type { CaptureBackend, CapturedPod, CaptureWishes, SteeringTargets } from '../capture/types.ts';
import type { PodNetns } from '../discovery/pod-netns.ts';
import type { SnapshotEntry, ZdsServer } from '../zds/server.ts';
import { captureWishes } from './annotations.ts';
import { announce, redirectionOf } from './announce.ts';
import { capturedPod, ipsOf, leavingPod } from './captured-pod.ts';
import type { PodKernel } from './kernel.ts';
import { nextStep, type PodView, type Redirection, type Step } from './step.ts';

export interface EnrolmentOptions {
  readonly kube: KubeSource;
  readonly kernel: PodKernel;
  readonly capture: CaptureBackend;
  readonly zds: Pick<ZdsServer, 'add' | 'del' | 'ready'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly withdrawGrace: Millis;
  /** The agent's own parts of an enrolment, without the time that ztunnel took: the pod's kernel, and the write to Kubernetes. */
  readonly onEnrolled: (capture: Millis, announce: Millis) => void;
  readonly onWithdrawn: () => void;
  /** A namespace was given up; what is pinned for it can be swept once it is gone. */
  readonly onNetnsClosed: () => void;
}

/** ms; doubles from the first to the last. Processes of a new pod appear within moments. */
const retryDelay = { first: 20, last: 2_000 };
/** The node proxy ends open connections 5 s after the deletion (ambient-wire 1.7); until then they need the routes. */
const drainTime = millis(6_000);

export class PodEnrolment {
  readonly uid: string;
  readonly #options: EnrolmentOptions;
  readonly #onForget: () => void;
  #pod: Pod;
  #exists = true;
  #belongs = false;
  #netns: PodNetns | undefined;
  /** What the runtime gave the pod in this namespace: the object says it only later. */
  #runtimeIps: readonly Ip[] = [];
  #lost = false;
  /** The one that ztunnel was told last: its listeners are there. */
  #sent: PodNetns | undefined;
  #watch: { close(): void } | undefined;
  #capture: PodView['capture'];
  #proxy: PodView['proxy'];
  /** As what ztunnel has steered it since the last add was sent: captureInputs, undefined when it has not. */
  #steeredAs: string | undefined;
  readonly #warned = new Set<string>();
  #announced: Redirection;
  #withdrawAt: Millis | undefined;
  #drainedAt: Millis | undefined;
  #retry: PodView['retry'];
  #delay = retryDelay.first;
  /** ms of each of the agent's own parts of this enrolment. */
  readonly #took = { find: 0, capture: 0, announce: 0 };
  /** Called after every step, and with what went wrong. */
  readonly #watchers = new Set<(problem: string | undefined) => void>();
  /** That it is in the mesh has been logged and counted. */
  #reported = false;
  #running = false;
  #woken = false;
  #timer: Timer | undefined;
  #stopped = false;

  /** `captured`: an earlier agent has captured it, and a ztunnel may serve it. `onForget`: it is gone and cleaned up. */
  constructor(options: EnrolmentOptions, pod: Pod, captured: boolean, onForget: () => void) {
    this.#options = options;
    this.#onForget = onForget;
    this.uid = pod.metadata.uid;
    this.#pod = pod;
    this.#capture = captured ? 'full' : 'none';
    this.#proxy = captured ? 'maybe' : 'none';
    this.#announced = redirectionOf(pod);
  }

  /** Where the pod stands, for metrics. */
  get state(): 'out' | 'entering' | 'enrolled' | 'leaving' | 'gone' {
    if (!this.#exists) return 'gone';
    if (this.#wanted) return this.#proxy === 'added' && this.#announced === 'enabled' ? 'enrolled' : 'entering';
    return this.#capture !== 'none' || this.#netns !== undefined || this.#announced !== undefined ? 'leaving' : 'out';
  }

  get exists(): boolean {
    return this.#exists;
  }

  /** Without an address there is nothing to capture. */
  get #wanted(): boolean {
    return this.#belongs && this.#ips().length > 0;
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** As it is captured in the kernel now; undefined: it is not, or leaves. */
  get captured(): CapturedPod | undefined {
    return this.#capture === 'full' && this.#wanted && this.#usableNetns() !== undefined
      ? this.#capturedPod()
      : undefined;
  }

  /** The object has changed, or what it should be. */
  update(pod: Pod, belongs: boolean): void {
    // A changed address or wish must reach the capture, which ztunnel's next steering does.
    const before = this.#captureInputs();
    this.#pod = pod;
    if (this.#captureInputs() !== before && this.#proxy === 'added') this.#proxy = 'maybe';
    this.#announced = redirectionOf(pod);
    this.#belongs = belongs;
    if (this.#wanted) this.#warn();
    this.#retry = undefined;
    this.#delay = retryDelay.first;
    this.wake();
  }

  /**
   * The runtime has made a namespace for the pod, in which nothing runs yet. Resolves when the pod's traffic is captured and ztunnel
   * serves it; MeshError with the last problem when the signal aborts before, or when the pod goes or is not wanted any more.
   */
  async enter(netns: PodNetns, ips: readonly Ip[], signal: AbortSignal): Promise<void> {
    this.#hold(netns, ips);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let last = 'ztunnel is not connected';
    const look = (problem: string | undefined) => {
      last = problem ?? last;
      if (this.#capture === 'full' && this.#proxy === 'added') resolve();
      else if (!this.#exists || !this.#wanted || this.#lost)
        reject(new MeshError('CANCELLED', 'the pod is gone or left'));
    };
    const expired = () => reject(new MeshError('CANCELLED', `pod ${this.#name()} is not captured yet: ${last}`));
    this.#watchers.add(look);
    signal.addEventListener('abort', expired, { once: true });
    try {
      look(undefined);
      this.wake();
      await promise;
    } finally {
      this.#watchers.delete(look);
      signal.removeEventListener('abort', expired);
    }
  }

  /** The runtime is about to remove this namespace, or, with undefined, whichever the pod has. */
  exit(path: string | undefined): void {
    const life = this.#netns?.life;
    if (life === undefined || (path !== undefined && life.kind === 'path' && life.path !== path)) return;
    this.#lost = true;
    this.wake();
  }

  /** Why the namespace at this path is not that of a pod in the mesh; undefined when it is. */
  fault(netns: PodNetns): string | undefined {
    if (this.#netns?.key !== netns.key || this.#lost) return 'the node agent knows it in another network namespace';
    return this.#capture === 'full' ? undefined : 'its traffic is not captured';
  }

  /** The object is gone, or its name belongs to another pod. */
  remove(): void {
    this.#exists = false;
    this.wake();
  }

  /** There is another newest ztunnel, which knows nothing of what the one before has acked. */
  ztunnelChanged(): void {
    if (this.#proxy === 'added') this.#proxy = 'maybe';
    this.#retry = undefined;
    this.wake();
  }

  /** What its rules say beside what is asked of it has changed. */
  refreshRules(): void {
    if (this.#usableNetns() === undefined || (this.#capture !== 'full' && this.#capture !== 'leaving')) return;
    try {
      this.#options.capture.enrol(this.#capturedPod(), undefined);
    } catch (e) {
      this.#failed('add', e);
    }
  }

  /** The pod's processes may have ended. */
  checkNetns(): void {
    if (this.#netns === undefined || this.#lost || this.#options.kernel.isInhabited(this.#netns)) return;
    this.#lost = true;
    this.wake();
  }

  /** What a ztunnel that has just connected is told about this pod. */
  snapshotEntry(): SnapshotEntry | undefined {
    if (!this.#exists || this.#lost || !this.#isServed()) return undefined;
    if (this.#netns === undefined) {
      this.#proxy = 'maybe';
      return { kind: 'keep' };
    }
    this.#proxy = 'maybe';
    this.#steeredAs = undefined;
    return {
      kind: 'add',
      info: infoOf(this.#pod),
      netns: () => this.#netnsToSend(),
      onAck: (ack) => {
        try {
          this.#acked(ack);
        } catch (e) {
          this.#failed('add', e);
        }
        this.wake();
      },
    };
  }

  /** ztunnel has made its listeners: brings the traffic to them. Throws when that cannot be. */
  steer(targets: SteeringTargets): void {
    if (!this.#exists || this.#usableNetns() === undefined || !this.#isServed()) {
      throw new MeshError('NOT_FOUND', `pod ${this.#name()} is not in the mesh`);
    }
    if (this.#sent !== undefined && this.#sent !== this.#netns) {
      throw new MeshError('NOT_FOUND', `pod ${this.#name()} has another network namespace now`);
    }
    this.#enrol(targets);
  }

  wake(): void {
    this.#woken = true;
    if (!this.#running && !this.#stopped) void this.#run();
  }

  /** Leaves everything as it stands. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#closeNetns();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#woken && !this.#stopped) {
      this.#woken = false;
      this.#timer?.cancel();
      const step = nextStep(this.#view(), this.#options.clock.now());
      if (step.kind === 'idle') {
        if (step.until !== undefined) this.#wakeAt(step.until);
        continue;
      }
      this.#woken = true;
      try {
        await this.#perform(step);
        if (this.#retry?.step === step.kind) this.#retry = undefined;
        this.#tell(undefined);
      } catch (e) {
        this.#failed(step.kind, e);
      }
    }
    this.#running = false;
  }

  #wakeAt(at: Millis): void {
    this.#timer = this.#options.clock.after(millis(at - this.#options.clock.now()), () => this.wake());
  }

  #view(): PodView {
    return {
      exists: this.#exists,
      wanted: this.#wanted,
      netns: this.#netns === undefined ? 'none' : this.#lost ? 'lost' : 'held',
      capture: this.#capture,
      proxy: this.#proxy,
      ztunnelReady: this.#options.zds.ready,
      announced: this.#announced,
      withdrawAt: this.#withdrawAt,
      drainedAt: this.#drainedAt,
      retry: this.#retry,
    };
  }

  async #perform(step: Exclude<Step, { kind: 'idle' }>): Promise<void> {
    switch (step.kind) {
      case 'find-netns':
        this.#timed('find', () => this.#find());
        return;
      case 'add':
        await this.#add();
        return;
      case 'announce':
        await this.#announce(step.value);
        return;
      case 'set-plaintext':
        this.#setPlaintext(step.to);
        return;
      case 'withdraw':
        this.#options.capture.withdraw(this.#capturedPod());
        this.#capture = 'draining';
        this.#options.log.info('pod has left the mesh', { pod: this.#name(), uid: this.uid });
        this.#options.onWithdrawn();
        return;
      case 'del':
        this.#options.zds.del(this.uid);
        this.#proxy = 'none';
        this.#drainedAt = millis(this.#options.clock.now() + drainTime);
        return;
      case 'remove':
        this.#options.capture.remove(this.#capturedPod());
        this.#options.kernel.restorePackets(this.#capturedPod().netns);
        this.#capture = 'none';
        return;
      case 'close-netns':
        this.#closeNetns();
        this.#options.onNetnsClosed();
        return;
      case 'forget':
        this.stop();
        this.#onForget();
        return;
      default:
        assertNever(step);
    }
  }

  #find(): void {
    const found = this.#options.kernel.discover(this.uid);
    if (found.kind === 'absent') throw new MeshError('NOT_FOUND', `no network namespace: ${found.reason}`);
    this.#netns = found.netns;
    this.#lost = false;
    this.#watch = this.#options.kernel.watch(found.netns, () => this.checkNetns());
    // A container that was started anew without a sandbox finds its old namespace, captured as it was.
    this.#capture = this.#options.capture.stands(this.#capturedPod()) ? 'full' : 'none';
  }

  async #add(): Promise<void> {
    this.#proxy = 'maybe';
    this.#steeredAs = undefined;
    const ack = await this.#options.zds.add(this.uid, infoOf(this.#pod), () => this.#netnsToSend());
    if (ack !== undefined) this.#acked(ack);
  }

  #acked(ack: ZdsAck): void {
    if (ack.error !== '') throw new MeshError('KERNEL', `ztunnel refused it: ${ack.error}`);
    if (this.#options.capture.proxyPorts === 'fixed') this.#enrol(undefined);
    if (this.#steeredAs === undefined) {
      throw new MeshError('PROTOCOL', 'ztunnel took it without saying where its traffic shall go (steering socket)');
    }
    // What changed between its steering and its ack has to be steered again.
    this.#proxy = this.#steeredAs === this.#captureInputs() ? 'added' : 'maybe';
  }

  async #announce(value: Redirection): Promise<void> {
    const { clock, kube } = this.#options;
    const start = clock.now();
    const known = this.#pod;
    const written = await announce(kube, known, value);
    if (written === undefined) {
      this.#exists = false;
      return;
    }
    // An event that came meanwhile has more news than what was written.
    if (this.#pod === known) this.#pod = written;
    this.#announced = value;
    this.#withdrawAt = value === undefined ? millis(clock.now() + this.#options.withdrawGrace) : undefined;
    if (value === undefined) {
      this.#reported = false;
    } else if (value === 'enabled' && !this.#reported) {
      this.#took.announce = clock.now() - start;
      this.#report();
    }
  }

  #report(): void {
    this.#reported = true;
    this.#delay = retryDelay.first;
    const { log } = this.#options;
    const total = Object.values(this.#took).reduce((sum, ms) => sum + ms);
    const rounded = Object.entries({ ...this.#took, total }).map(([part, ms]) => [`${part}_ms`, Number(ms.toFixed(2))]);
    log.info('pod is in the mesh', { pod: this.#name(), uid: this.uid });
    log.debug('enrolment took, without ztunnel', { pod: this.#name(), ...Object.fromEntries(rounded) });
    this.#options.onEnrolled(millis(total - this.#took.announce), millis(this.#took.announce));
    Object.assign(this.#took, { find: 0, capture: 0, announce: 0 });
  }

  #timed(part: 'find' | 'capture', run: () => void): void {
    const start = this.#options.clock.now();
    run();
    this.#took[part] = this.#options.clock.now() - start;
  }

  #enrol(targets: SteeringTargets | undefined): void {
    this.#timed('capture', () => {
      const pod = this.#capturedPod();
      this.#options.capture.enrol(pod, targets);
      if (this.#wanted) this.#options.kernel.enlargePackets(pod.netns);
    });
    this.#capture = this.#wanted ? 'full' : 'leaving';
    this.#steeredAs = this.#captureInputs();
  }

  /** A pod that does not leave may still wish for `direct`. */
  #setPlaintext(to: CaptureWishes['plaintext']): void {
    const pod = this.#capturedPod();
    this.#options.capture.setPlaintext(pod, pod.wishes.plaintext);
    this.#capture = to === 'captured' ? 'full' : 'leaving';
  }

  /** It belongs to the mesh, or still does to those who have not heard that it leaves. */
  #isServed(): boolean {
    return this.#wanted || this.#capture === 'full' || this.#capture === 'leaving';
  }

  #netnsToSend(): Fd | undefined {
    this.#sent = this.#netns;
    return this.#usableNetns();
  }

  #usableNetns(): Fd | undefined {
    return this.#exists && !this.#lost ? this.#netns?.fd : undefined;
  }

  /** Takes the descriptor over. An earlier namespace is the pod's no more; what is captured there goes with it (sweep). */
  #hold(netns: PodNetns, ips: readonly Ip[]): void {
    if (this.#netns?.key === netns.key && !this.#lost) {
      this.#options.kernel.close(netns.fd);
    } else {
      if (this.#netns !== undefined) {
        this.#closeNetns();
        this.#options.onNetnsClosed();
      }
      if (this.#proxy === 'added') this.#proxy = 'maybe';
      this.#netns = netns;
      this.#watch = this.#options.kernel.watch(netns, () => this.checkNetns());
      this.#capture = 'none';
    }
    this.#runtimeIps = ips;
    this.#retry = undefined;
    this.#delay = retryDelay.first;
  }

  #closeNetns(): void {
    this.#watch?.close();
    if (this.#netns !== undefined) this.#options.kernel.close(this.#netns.fd);
    this.#watch = this.#netns = undefined;
    this.#runtimeIps = [];
    this.#lost = this.#reported = false;
    this.#capture = 'none';
  }

  #capturedPod(): CapturedPod {
    const netns = this.#netns!.fd;
    const inKernel = { netns, cookie: this.#options.kernel.cookie(netns), ips: this.#ips() };
    return this.#wanted ? capturedPod(this.#pod, inKernel) : leavingPod(this.#pod, inKernel);
  }

  #ips(): readonly Ip[] {
    return this.#runtimeIps.length > 0 ? this.#runtimeIps : ipsOf(this.#pod);
  }

  /** What its capture is made from. */
  #captureInputs(): string {
    return JSON.stringify([this.#ips(), captureWishes(this.#pod).wishes]);
  }

  #warn(): void {
    const { wishes, warnings } = captureWishes(this.#pod);
    for (const warning of [...warnings, ...this.#options.capture.unmet(wishes)]) {
      if (!this.#warned.has(warning)) this.#options.log.warn(warning, { pod: this.#name() });
      this.#warned.add(warning);
    }
  }

  #failed(step: Step['kind'], error: unknown): void {
    const fields = { pod: this.#name(), uid: this.uid, step, error: describeError(error), retry_ms: this.#delay };
    // Processes that are not there yet, and a ztunnel that restarts, are everyday life.
    const everyday = error instanceof MeshError && (error.code === 'NOT_FOUND' || error.code === 'CANCELLED');
    this.#options.log.log(everyday ? 'debug' : 'warn', 'a step of an enrolment failed; trying again', fields);
    this.#retry = { step, at: millis(this.#options.clock.now() + this.#delay) };
    this.#delay = Math.min(this.#delay * 2, retryDelay.last);
    this.#tell(describeError(error));
  }

  #tell(problem: string | undefined): void {
    for (const watcher of [...this.#watchers]) watcher(problem);
  }

  #name(): string {
    return keyOf(this.#pod.metadata);
  }
}

function infoOf(pod: Pod): WorkloadInfo {
  const { name, namespace } = pod.metadata;
  return { name, namespace: namespace ?? '', serviceAccount: pod.spec.serviceAccountName ?? 'default' };
}
