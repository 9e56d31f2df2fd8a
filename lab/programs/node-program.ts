/** A program's pod on a node: its object, its token, its process and its status. */
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { replaceFile } from '../../common/core/files.ts';
import { type Pod, type PodStatus, podKind, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import type { PodRef } from '../../common/kube/kubelet/requests.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import type { PodView } from '../kubelet/containers.ts';
import { netnsPath } from '../names.ts';
import { isEnding } from '../pods/conditions.ts';
import { programLabel } from '../pods/manager.ts';
import type { ContainerState } from '../pods/status.ts';
import { podStatus } from '../pods/status.ts';
import { token } from '../pods/volumes.ts';
import type { ProberClient } from '../prober/client.ts';
import {
  type ExtraEnv,
  type NodeProgram,
  nodeProgramSpec,
  programPod,
  restartAnnotation,
  rootCertFile,
  systemNamespace,
  tokenFile,
} from './mesh.ts';
import { Supervised } from './supervised.ts';

/** As the chart of Istio asks for: 12 h, for istiod's CA. */
const tokenSeconds = 43_200;
const tokenAudience = 'istio-ca';
/** ztunnel's default AQUIFER_WORKER_UID, and the group of each worker. */
const workerUid = 1337;
/** Milliseconds between readiness probes. */
const probePeriod = 500;

/** ms. More than ztunnel's drain deadline of 5 s. */
const stopGrace = millis(15_000);

interface Instance {
  readonly pod: Pod;
  readonly ready: Promise<void>;
  /** Resolves when its process has ended and its object is gone. */
  stop(): Promise<void>;
}

/**
 * Runs the program's pod, and replaces it when it is asked to or the pod is deleted. The new ztunnel is ready before the old one is told
 * to stop (maxSurge 1); of the agent a node has one at a time.
 */
export async function startNodeProgram(
  runtime: Runtime,
  node: LabNode,
  program: NodeProgram,
  prober: ProberClient,
  extra: ExtraEnv,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, log } = runtime;
  await ensureAccount(cluster.source, program.serviceAccount);
  if (program.program === 'ztunnel') await keepRootCert(runtime, node, signal);
  const start = () => startInstance(runtime, node, program, prober, extra, signal);
  let current = await start();
  let replacing = false;
  const replace = async () => {
    const old = current;
    if (program.program !== 'ztunnel') await old.stop();
    current = await start();
    if (program.program !== 'ztunnel') return;
    await current.ready;
    await old.stop();
  };
  cluster.onChange((kind) => {
    if (kind !== 'Pod' || replacing) return;
    const { namespace = '', name } = current.pod.metadata;
    const pod = cluster.pods.get({ namespace, name });
    if (pod === undefined || (!isEnding(pod) && pod.metadata.annotations?.[restartAnnotation] === undefined)) return;
    replacing = true;
    replace()
      .catch((e: unknown) => log.error('a pod cannot be replaced', { pod: name, error: describeError(e) }))
      .finally(() => {
        replacing = false;
      });
  });
}

/** The pod of a program, which has the node's network, as the node's kubelet shows it: its ports can be reached, its process is ours alone. */
export function programView(runtime: Runtime, node: LabNode, { namespace, name, uid }: PodRef): PodView | undefined {
  const pod = runtime.cluster.pods.get({ namespace, name });
  if (pod?.metadata.uid !== uid || pod.spec.nodeName !== node.name) return undefined;
  if (pod.metadata.labels?.[programLabel] === undefined) return undefined;
  return { netns: netnsPath(node.netns), container: () => undefined };
}

async function ensureAccount(source: KubeSource, name: string): Promise<void> {
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: systemNamespace, name } };
  await source.create(serviceAccountKind, account).catch((e: unknown) => {
    // Another node's was quicker.
    if (!(e instanceof MeshError) || e.code !== 'CONFLICT') throw e;
  });
}

/** Kubernetes' alphabet for names: no vowels, which could spell something. */
const suffixLetters = 'bcdfghjklmnpqrstvwxz2456789';

function randomSuffix(): string {
  return Array.from({ length: 5 }, () => suffixLetters[randomInt(suffixLetters.length)]).join('');
}

async function startInstance(
  runtime: Runtime,
  node: LabNode,
  program: NodeProgram,
  prober: ProberClient,
  extra: ExtraEnv,
  signal: AbortSignal,
): Promise<Instance> {
  const { cluster } = runtime;
  const name = `${program.owner}-${randomSuffix()}`;
  const pod = await cluster.source.create(podKind, programPod(node, program, name));
  const stopped = new AbortController();
  if (program.program === 'ztunnel') {
    await keepToken(runtime, node, pod, program.serviceAccount, AbortSignal.any([signal, stopped.signal]));
  }
  const status = new ProgramStatus(runtime, node, pod, program.owner);
  const supervised = await Supervised.start(runtime, nodeProgramSpec(runtime, node, program, name, extra), {
    onStart: (restarts) => status.started(restarts),
    onExit: () => status.ended(),
  });
  // While two share the port, only this one's answers count.
  const from = program.program === 'ztunnel' ? { header: 'aquifer-instance', value: name } : undefined;
  const probe = { kind: 'http', host: node.address.v4, ...program.readiness, tls: false, headers: [], from } as const;
  const key = `program/${name}`;
  const timing = { initialDelay: 0, firstPeriod: 100, period: probePeriod, timeout: 1_000 };
  const ready = Promise.withResolvers<void>();
  prober.set({ key, probe, ...timing }, (failure) => {
    status.ready(failure === undefined);
    if (failure === undefined) ready.resolve();
  });
  return {
    pod,
    ready: ready.promise,
    async stop() {
      prober.remove(key);
      await status.ending();
      await supervised.stop(stopGrace);
      stopped.abort();
      await rm(tokenFile(runtime, node.name, name), { force: true });
      await cluster.source.delete(podKind, { namespace: systemNamespace, name }, { gracePeriodSeconds: 0 });
    },
  };
}

async function keepToken(
  runtime: Runtime,
  node: LabNode,
  pod: Pod,
  serviceAccount: string,
  signal: AbortSignal,
): Promise<void> {
  const issue = async () => {
    const text = await token({ runtime, serviceAccount, pod: () => pod }, tokenSeconds, tokenAudience);
    // For ztunnel's workers, which are a user of their own, and for their group: a worker that stays uid 0 has it, and no capability.
    await replaceFile(tokenFile(runtime, node.name, pod.metadata.name), text, { mode: 0o640, uid: workerUid });
  };
  await issue();
  void (async () => {
    for (;;) {
      await sleep(runtime.clock, millis(tokenSeconds * 800), signal);
      if (signal.aborted) return;
      await issue().catch((e: unknown) =>
        runtime.log.error('the token of ztunnel cannot be renewed', { node: node.name, error: describeError(e) }),
      );
    }
  })();
}

const rootKey = { namespace: systemNamespace, name: 'istio-ca-root-cert' };

/** kubelet, too, starts a pod only when the ConfigMap that it mounts is there; istiod makes it on its first start. */
async function keepRootCert(runtime: Runtime, node: LabNode, signal: AbortSignal): Promise<void> {
  const { cluster, log } = runtime;
  const pem = () => cluster.configMaps.get(rootKey)?.data?.['root-cert.pem'];
  await cluster.until(() => pem() !== undefined, signal);
  let written = pem()!;
  const file = rootCertFile(runtime, node.name);
  await replaceFile(file, written);
  cluster.onChange((kind) => {
    const now = pem();
    if (kind !== 'ConfigMap' || now === undefined || now === written) return;
    written = now;
    replaceFile(file, now).catch((e: unknown) =>
      log.error('the root certificate cannot be written', { file, error: describeError(e) }),
    );
  });
}

class ProgramStatus {
  readonly #runtime: Runtime;
  readonly #node: LabNode;
  readonly #pod: Pod;
  readonly #startTime: string;
  #state: ContainerState;
  #written: PodStatus | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(runtime: Runtime, node: LabNode, pod: Pod, container: string) {
    this.#runtime = runtime;
    this.#node = node;
    this.#pod = pod;
    this.#startTime = this.#now();
    const phase = { kind: 'waiting', reason: 'ContainerCreating' } as const;
    const image = pod.spec.containers[0]?.image ?? '';
    this.#state = { name: container, image, phase, last: undefined, restarts: 0, started: false, ready: false };
  }

  started(restarts: number): void {
    const phase = { kind: 'running', startedAt: this.#now() } as const;
    this.#set({ phase, restarts, started: true, ready: false });
  }

  ended(): void {
    const phase = { kind: 'waiting', reason: 'CrashLoopBackOff' } as const;
    this.#set({ phase, last: this.#state.phase, started: false, ready: false });
  }

  /** As kubelet is told that a pod shall end. */
  async ending(): Promise<void> {
    await this.#writing;
    const key = { namespace: systemNamespace, name: this.#pod.metadata.name };
    await this.#runtime.cluster.source.delete(podKind, key, { gracePeriodSeconds: stopGrace / 1000 });
  }

  ready(ready: boolean): void {
    if (this.#state.ready !== ready && this.#state.phase.kind === 'running') this.#set({ ready });
  }

  #now(): string {
    return new Date(this.#runtime.clock.wall()).toISOString();
  }

  #set(change: Partial<ContainerState>): void {
    this.#state = { ...this.#state, ...change };
    this.#writing = this.#writing.then(() => this.#write());
  }

  async #write(): Promise<void> {
    const { cluster, log } = this.#runtime;
    const state = {
      restartPolicy: 'Always',
      addresses: this.#node.address,
      host: this.#node.address,
      startTime: this.#startTime,
      initialized: true,
      ending: false,
      init: [],
      containers: [this.#state],
    } as const;
    const status = podStatus(state, this.#written, this.#now());
    this.#written = status;
    const key = { namespace: systemNamespace, name: this.#pod.metadata.name };
    try {
      await cluster.source.patch(podKind, key, { status }, { subresource: 'status' });
    } catch (e) {
      if (e instanceof MeshError && e.code === 'NOT_FOUND') return;
      log.warn('the status of a pod cannot be written', { pod: key.name, error: describeError(e) });
    }
  }
}
