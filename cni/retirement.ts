/**
 * The end of the agent on all nodes, when its chart is uninstalled. Helm deletes the DaemonSet and, a moment later, the account by which
 * agents write; so a hook asks them first, by an annotation of their DaemonSet, and waits: `cni-agent retire`.
 */
import { type Millis, millis } from '../common/core/brand.ts';
import { type Clock, sleep } from '../common/core/clock.ts';
import { MeshError } from '../common/core/errors.ts';
import type { Logger } from '../common/core/log.ts';
import { createInformer } from '../common/kube/informer.ts';
import type { Kind, KubeObject, KubeSource } from '../common/kube/types.ts';

/** On the agent's DaemonSet, with `true`: every agent takes its node's pods out of the mesh, and is not ready any more when that is done. */
export const retireAnnotation = 'aquifer.dev/retire';

export interface DaemonSet extends KubeObject {
  readonly status?: { readonly numberReady?: number };
}

export const daemonSetKind: Kind<DaemonSet> = {
  group: 'apps',
  version: 'v1',
  kind: 'DaemonSet',
  plural: 'daemonsets',
  namespaced: true,
};

/** The DaemonSet whose pod an agent is. */
export interface Home {
  readonly namespace: string;
  readonly name: string;
}

export interface RetirementWatch {
  readonly kube: KubeSource;
  readonly home: Home;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Calls back once, when the DaemonSet says so or is gone; also when it did before. */
export function onRetirement({ kube, home, clock, log, signal }: RetirementWatch, retire: () => void): void {
  let called = false;
  const once = () => {
    if (!called) retire();
    called = true;
  };
  const look = ({ metadata }: DaemonSet) => {
    if (metadata.annotations?.[retireAnnotation] === 'true' || metadata.deletionTimestamp !== undefined) once();
  };
  createInformer({
    source: kube,
    kind: daemonSetKind,
    within: home,
    clock,
    log,
    signal,
    handlers: { added: look, modified: look, deleted: once },
  });
}

/** Between two looks. */
const lookAgain = millis(500);

/** Resolves when no agent is ready any more, or there is no DaemonSet; MeshError CANCELLED when that takes longer than `most`. */
export async function retireAll(kube: KubeSource, home: Home, clock: Clock, most: Millis): Promise<void> {
  const late = new AbortController();
  const timer = clock.after(most, () => late.abort());
  try {
    if ((await kube.get(daemonSetKind, home)) === undefined) return;
    await kube.patch(daemonSetKind, home, { metadata: { annotations: { [retireAnnotation]: 'true' } } });
    while (!late.signal.aborted) {
      await sleep(clock, lookAgain, late.signal);
      if (((await kube.get(daemonSetKind, home))?.status?.numberReady ?? 0) === 0) return;
    }
  } finally {
    timer.cancel();
  }
  const { namespace, name } = home;
  throw new MeshError(
    'CANCELLED',
    `agents of DaemonSet ${namespace}/${name} still have pods in the mesh after ${most / 1000} s; their logs say why`,
  );
}
