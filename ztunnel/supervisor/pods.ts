/**
 * The pods of this node as the supervisor holds them: their network namespace, their listeners (kept here, so that they
 * outlive workers) and whether they are served. Pure of I/O but for the injected parts.
 */
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { SteerPod, WorkloadInfo } from '../../common/zds/types.ts';
import type { ServedPod } from '../admin/state.ts';
import type { ListenerRole, PodMessage, SocketKind } from '../control/messages.ts';
import type { Kernel } from './kernel.ts';
import { type CaptureMode, type ListenerOptions, planListeners, socketSpec } from './listeners.ts';
import type { ZdsHandler } from './zds-client.ts';

/** The workers, as far as pods concern them. */
export interface PodWorkers {
  /** Resolves when every worker accepts from the pod's listeners; rejects with the reason. */
  serve(message: PodMessage, fds: readonly Fd[]): Promise<void>;
  /** Resolves when no worker has a connection of the pod left, or at the deadline. */
  drop(pod: number, deadlineMs: number): Promise<void>;
}

export interface PodTableOptions {
  readonly kernel: Kernel;
  readonly workers: PodWorkers;
  readonly mode: () => CaptureMode;
  readonly steer: (pod: Omit<SteerPod, 'kind' | 'id'>, fds: readonly Fd[]) => Promise<void>;
  readonly listeners: ListenerOptions;
  readonly drainDeadlineMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** ms, as Istio's proxy does. */
const retryInterval = 5_000;
const wasRemoved = 'the pod was removed while it was being added';

export interface Pod {
  readonly id: number;
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly netns: Fd;
  readonly netnsKey: string;
  readonly mode: CaptureMode;
  listeners: readonly HeldListener[];
  state: 'starting' | 'serving' | 'failed';
  retry?: Timer;
}

interface HeldListener {
  readonly role: ListenerRole;
  readonly family: 4 | 6;
  readonly port: number;
  readonly fd: Fd;
}

export class PodTable implements ZdsHandler {
  readonly #options: PodTableOptions;
  readonly #pods = new Map<string, Pod>();
  /** Also pods that are draining, for whom workers may still need sockets. */
  readonly #byId = new Map<number, Pod>();
  #nextId = 1;
  #snapshotComplete = false;
  #started = 0;
  #stopped = 0;

  constructor(options: PodTableOptions) {
    this.#options = options;
  }

  /**
   * An agent has told all its pods, and all of them are served. Also while the agent is away, unlike Istio's (ambient-wire 6.4): a DaemonSet
   * that is rolled ends a proxy that is not ready before another takes its place.
   */
  get ready(): boolean {
    return this.#snapshotComplete && [...this.#pods.values()].every((p) => p.state !== 'failed');
  }

  get counts(): {
    readonly active: number;
    readonly pending: number;
    readonly started: number;
    readonly stopped: number;
  } {
    const pods = [...this.#pods.values()].filter((p) => p.mode !== 'self');
    const active = pods.filter((p) => p.state === 'serving').length;
    return { active, pending: pods.length - active, started: this.#started, stopped: this.#stopped };
  }

  /** For an operator's dump. */
  get served(): readonly ServedPod[] {
    return [...this.#pods.values()].map(({ uid, info, state }) => ({ uid, info, up: state === 'serving' }));
  }

  snapshot(uids: ReadonlySet<string>): void {
    for (const pod of [...this.#pods.values()]) {
      if (!uids.has(pod.uid) && pod.mode !== 'self') this.#drop(pod);
    }
    this.#snapshotComplete = true;
  }

  add(uid: string, info: WorkloadInfo, netns: Fd): Promise<string> {
    return this.#add(uid, info, netns, this.#options.mode());
  }

  /** This proxy's own pod, which is served whatever the agent says. Takes over the descriptor. */
  addSelf(info: WorkloadInfo, netns: Fd): Promise<string> {
    return this.#add('self', info, netns, 'self');
  }

  async #add(uid: string, info: WorkloadInfo, netns: Fd, mode: CaptureMode): Promise<string> {
    const { kernel, log } = this.#options;
    const netnsKey = kernel.netnsKey(netns);
    const old = this.#pods.get(uid);
    if (old && old.netnsKey === netnsKey && sameInfo(old.info, info) && old.mode === mode) {
      kernel.close(netns);
      return this.#attempt(old);
    }
    if (old) {
      log.info('the pod has a new network namespace, replacing its proxy', { uid });
      this.#drop(old);
    }
    const id = this.#nextId++;
    const pod: Pod = { id, uid, info, netns, netnsKey, mode, listeners: [], state: 'starting' };
    this.#pods.set(uid, pod);
    this.#byId.set(id, pod);
    return this.#attempt(pod);
  }

  del(uid: string): string {
    const pod = this.#pods.get(uid);
    if (pod) this.#drop(pod);
    return '';
  }

  /** What a worker that starts must be told about every pod. */
  messages(): readonly { readonly message: PodMessage; readonly fds: readonly Fd[] }[] {
    return [...this.#pods.values()].filter((p) => p.listeners.length > 0).map((p) => podMessage(p));
  }

  /** Sockets in a pod's namespace for a worker. The caller closes them. Throws NativeError; none when the pod is gone. */
  sockets(id: number, kind: SocketKind, count: number): readonly Fd[] {
    const pod = this.#byId.get(id);
    if (!pod) return [];
    const spec = socketSpec(kind, pod.mode, this.#options.listeners);
    return this.#options.kernel.socketsInNetns(pod.netns, spec, count);
  }

  /** From now on only workers hold listeners: once they let go, new connections are refused instead of waiting for nobody. */
  letGo(): void {
    for (const pod of this.#pods.values()) {
      pod.retry?.cancel();
      this.#closeListeners(pod);
    }
    this.#pods.clear();
  }

  /** The workers have ended. */
  close(): void {
    for (const pod of this.#byId.values()) this.#release(pod);
  }

  /** Brings a pod to the state "serving" from whatever state it is in. Returns the ack's error. */
  async #attempt(pod: Pod): Promise<string> {
    const { log } = this.#options;
    pod.retry?.cancel();
    const before = pod.state;
    try {
      if (pod.listeners.length === 0) this.#listen(pod);
      if (before !== 'serving') {
        const { message, fds } = podMessage(pod);
        await this.#options.workers.serve(message, fds);
        if (!this.#holds(pod)) return wasRemoved;
      }
      // Also for a pod that is served already: the agent may have new maps.
      if (pod.mode === 'steered') await this.#steer(pod);
    } catch (e) {
      const error = describeError(e);
      if (!this.#holds(pod)) return error;
      // One that is served stays so: traffic goes where it went, and the agent that could not bring it here asks again.
      if (before === 'serving') log.warn('a pod could not be steered here again', { uid: pod.uid, error });
      else this.#fail(pod, error);
      return error;
    }
    if (!this.#holds(pod)) return wasRemoved;
    pod.state = 'serving';
    if (before !== 'serving' && pod.mode !== 'self') this.#started++;
    log.info('pod is served', { uid: pod.uid, pod: `${pod.info.namespace}/${pod.info.name}` });
    return '';
  }

  #holds(pod: Pod): boolean {
    return this.#pods.get(pod.uid) === pod;
  }

  #listen(pod: Pod): void {
    const { kernel, listeners } = this.#options;
    const made: HeldListener[] = [];
    try {
      for (const { role, family, spec } of planListeners(pod.mode, listeners)) {
        const [fd] = kernel.socketsInNetns(pod.netns, spec, 1);
        made.push({ role, family, fd: fd!, port: kernel.localPort(fd!) });
      }
    } catch (e) {
      for (const l of made) kernel.close(l.fd);
      throw e;
    }
    pod.listeners = made;
  }

  #steer(pod: Pod): Promise<void> {
    const port = (role: ListenerRole, family: 4 | 6) => held(pod, role, family)?.port ?? 0;
    const ports = (role: ListenerRole) => ({ v4: port(role, 4), v6: port(role, 6) });
    const fds = [
      held(pod, 'plaintext', 4)!.fd,
      held(pod, 'plaintext', 6)!.fd,
      held(pod, 'hbone', 4)!.fd,
      held(pod, 'hbone', 6)!.fd,
    ];
    const { uid } = pod;
    return this.#options.steer(
      { uid, outbound: ports('outbound'), dnsUdp: ports('dnsUdp'), dnsTcp: ports('dnsTcp') },
      fds,
    );
  }

  #fail(pod: Pod, error: string): void {
    pod.state = 'failed';
    this.#options.log.error('cannot serve a pod, retrying in 5 s', { uid: pod.uid, error });
    pod.retry = this.#options.clock.after(millis(retryInterval), () => void this.#attempt(pod));
  }

  #drop(pod: Pod): void {
    const { workers, drainDeadlineMs, log } = this.#options;
    pod.retry?.cancel();
    this.#pods.delete(pod.uid);
    this.#stopped++;
    log.info('pod is no longer served, draining', { uid: pod.uid });
    this.#closeListeners(pod);
    workers.drop(pod.id, drainDeadlineMs).then(
      () => this.#release(pod),
      (e: unknown) => {
        log.error('cannot drain a pod', { uid: pod.uid, error: describeError(e) });
        this.#release(pod);
      },
    );
  }

  #release(pod: Pod): void {
    if (!this.#byId.delete(pod.id)) return;
    this.#closeListeners(pod);
    this.#options.kernel.close(pod.netns);
  }

  /** Workers have descriptors of their own, and serve what waits in the backlogs before they close them. */
  #closeListeners(pod: Pod): void {
    for (const l of pod.listeners) this.#options.kernel.close(l.fd);
    pod.listeners = [];
  }
}

function podMessage(pod: Pod): { readonly message: PodMessage; readonly fds: readonly Fd[] } {
  const listeners = pod.listeners.map((l) => ({ role: l.role, port: l.port }));
  return {
    message: {
      kind: 'pod',
      pod: pod.id,
      uid: pod.uid,
      netns: pod.netnsKey,
      info: pod.info,
      listeners,
      hidesClients: pod.mode === 'self',
    },
    fds: pod.listeners.map((l) => l.fd),
  };
}

function held(pod: Pod, role: ListenerRole, family: 4 | 6): HeldListener | undefined {
  return pod.listeners.find((l) => l.role === role && l.family === family);
}

function sameInfo(a: WorkloadInfo, b: WorkloadInfo): boolean {
  return a.name === b.name && a.namespace === b.namespace && a.serviceAccount === b.serviceAccount;
}
