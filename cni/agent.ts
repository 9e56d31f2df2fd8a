/** The capture agent, put together from its parts; everything that touches the machine is given to it. */
import { type Millis, millis } from '../common/core/brand.ts';
import type { Clock, Timer } from '../common/core/clock.ts';
import { describeError } from '../common/core/errors.ts';
import type { Logger } from '../common/core/log.ts';
import type { KubeSource } from '../common/kube/types.ts';
import type { SeqpacketListener } from '../native/index.ts';
import type { CaptureBackend } from './capture/types.ts';
import type { PluginInstaller } from './install/installer.ts';
import { type AgentMetrics, createMetrics } from './monitoring/metrics.ts';
import { writeOutside } from './plugin-server/outside.ts';
import { type PluginServer, servePlugin } from './plugin-server/server.ts';
import type { PodKernel } from './pods/kernel.ts';
import { PodManager } from './pods/pod-manager.ts';
import { SameNodeServer } from './zds/same-node-server.ts';
import { ZdsServer } from './zds/server.ts';
import { serveSteering } from './zds/steering-server.ts';

export interface AgentOptions {
  readonly nodeName: string;
  readonly excludedNamespaces: ReadonlySet<string>;
  readonly withdrawGrace: Millis;
  readonly kube: KubeSource;
  readonly kernel: PodKernel;
  readonly capture: CaptureBackend;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where the processes of every ztunnel are; undefined: the kernel is asked about each that connects. */
  readonly ztunnelCgroup: string | undefined;
  /** undefined: no CNI plugin is served. */
  readonly plugin: { readonly runDir: string; readonly installer: PluginInstaller | undefined } | undefined;
  /**
   * Called once the agent can serve: the steering socket first, for a ztunnel on ZDS expects it; not at all where the proxy's
   * ports are fixed.
   */
  readonly listen: {
    readonly zds: () => SeqpacketListener;
    readonly steering: () => SeqpacketListener;
    /** Absent: no pair of pods connects past the proxy, whatever their labels say. */
    readonly sameNode?: () => SeqpacketListener;
  };
}

/** How often pins of dead namespaces are looked for, and pods whose last process ended unnoticed. */
const sweepEvery = millis(10_000);
/** After a namespace was given up: ztunnel closes its own descriptors a moment later. */
const sweepSoon = millis(200);

export class Agent {
  readonly metrics: AgentMetrics;
  readonly pods: PodManager;
  readonly #options: AgentOptions;
  readonly #zds: ZdsServer;
  readonly #abort = new AbortController();
  #steering: { close(): void } | undefined;
  #sameNode: SameNodeServer | undefined;
  #pluginServer: PluginServer | undefined;
  #sweep: Timer | undefined;
  /** A plugin may ask this agent, or read what it keeps for it. */
  #plugged = true;

  constructor(options: AgentOptions) {
    this.#options = options;
    const { capture, clock, log } = options;
    this.metrics = createMetrics({
      counters: () => capture.counters(),
      pods: () => this.pods.states(),
      installed: () => this.#installed,
    });
    this.#zds = new ZdsServer({
      clock,
      log,
      onHello: (pid) => this.#admit(pid),
      startedAt: (pid) => options.kernel.startedAt(pid),
      snapshot: () => this.pods.snapshot(),
      entry: (uid) => this.pods.snapshotEntry(uid),
      onNewest: (ready) => {
        this.metrics.ztunnelConnected(ready);
        this.pods.newestZtunnel(ready);
      },
      onRefused: () => this.metrics.refused('zds'),
    });
    this.pods = new PodManager({
      ...options,
      zds: this.#zds,
      signal: this.#abort.signal,
      onEnrolled: (capture, announce) => this.metrics.enrolled(capture, announce),
      onWithdrawn: () => this.metrics.withdrawn(),
      onNetnsClosed: () => this.#sweepAfter(sweepSoon),
      onOutside: (namespaces) => this.#writeOutside(namespaces),
      onSameNode: (uid, takesPart) => this.#sameNode?.changed(uid, takesPart),
    });
  }

  /** Resolves when the node's pods are known. Capture must have been started. */
  async start(): Promise<void> {
    const { capture, listen, log, plugin, ztunnelCgroup } = this.#options;
    if (ztunnelCgroup !== undefined) capture.addProxy(ztunnelCgroup);
    if (capture.proxyPorts === 'steered') {
      this.#steering = serveSteering(listen.steering(), {
        log,
        steer: (uid, targets) => this.pods.steer(uid, targets),
        isReplaced: (pid) => this.#zds.isReplaced(pid),
        onRefused: () => this.metrics.refused('steering'),
      });
    }
    this.#startSameNode();
    this.#zds.start(listen.zds());
    await this.pods.start();
    this.#sweepAfter(millis(0));
    if (plugin === undefined || this.#abort.signal.aborted) return;
    this.#pluginServer = await servePlugin(plugin.runDir, this.pods, log);
    plugin.installer?.start();
  }

  /** Also where nothing goes past the proxy: what an agent before this one let begin is cut. */
  #startSameNode(): void {
    const { capture, listen, log } = this.#options;
    const { sameNode } = capture;
    if (!sameNode) return;
    if (listen.sameNode) {
      this.#sameNode = new SameNodeServer(listen.sameNode(), {
        log,
        sameNode,
        pod: (uid) => this.pods.direct(uid),
        eligible: () => this.pods.sameNode,
        onRefused: () => this.metrics.refused('same-node'),
      });
    }
    sameNode.watch({
      netnsOf: (cookie) => this.pods.netnsOf(cookie),
      onEvent: (event) => this.#sameNode?.onEvent(event),
    });
  }

  get ready(): boolean {
    return this.pods.synced && this.#installed;
  }

  /** True too where there is nothing to install. */
  get #installed(): boolean {
    return this.#options.plugin?.installer?.ready ?? true;
  }

  /** No pod that starts asks this agent any more. */
  stopPlugin(): void {
    this.#plugged = false;
    this.#options.plugin?.installer?.stop();
    this.#pluginServer?.close();
  }

  /** All capture stays as it is: the next agent takes it over. */
  stop(): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#sweep?.cancel();
    // While the namespaces are known that its connections are cut in.
    this.#sameNode?.close();
    this.pods.stop();
    this.#zds.stop();
    this.#steering?.close();
    this.stopPlugin();
  }

  /** Its own connections are none to capture, from before it is given the first pod. */
  #admit(pid: number): void {
    const { capture, kernel, log, ztunnelCgroup } = this.#options;
    if (ztunnelCgroup !== undefined) return;
    const cgroup = kernel.cgroupOf(pid);
    capture.addProxy(cgroup);
    log.debug('a ztunnel is not captured itself', { pid, cgroup });
    if (capture.proxyPorts === 'fixed') this.pods.proxyAdded();
  }

  #writeOutside(namespaces: readonly string[]): void {
    const { plugin, log } = this.#options;
    if (plugin === undefined || !this.#plugged) return;
    try {
      writeOutside(plugin.runDir, namespaces);
    } catch (e) {
      log.warn('the list of namespaces outside of the mesh cannot be written; without an agent their pods would wait', {
        folder: plugin.runDir,
        error: describeError(e),
      });
    }
  }

  #sweepAfter(delay: Millis): void {
    this.#sweep?.cancel();
    this.#sweep = this.#options.clock.after(delay, () => {
      this.pods.checkNamespaces();
      this.#sweepNow();
      this.#sweepAfter(sweepEvery);
    });
  }

  #sweepNow(): void {
    const { capture, log } = this.#options;
    try {
      for (const uid of capture.sweep((known) => this.pods.knows(known)))
        log.debug('capture of a namespace that is gone was removed', { uid });
    } catch (e) {
      log.warn('cleaning up capture failed; it is tried again in 10 s', { error: describeError(e) });
    }
  }
}
