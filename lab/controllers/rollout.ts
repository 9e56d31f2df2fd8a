/** What a Deployment does next, from its pods: Kubernetes' rolling update without ReplicaSet objects. Pure. */
import { createHash } from 'node:crypto';
import type { Deployment } from '../../common/kube/kinds/apps.ts';
import type { Condition, IntOrString, Pod } from '../../common/kube/kinds/core.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { isEnding, podReady } from './endpoints.ts';

export const templateHashLabel = 'pod-template-hash';

/** Ten characters as in a ReplicaSet's name; equal for equal templates. */
export function templateHash(d: Deployment): string {
  return createHash('sha256').update(canonical(d.spec.template)).digest('hex').slice(0, 10);
}

/** Key order of a manifest does not make a new template. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`)
    .join(',')}}`;
}

/** Pods of any template of this Deployment. */
export function podsOf(d: Deployment, pods: Iterable<Pod>): Pod[] {
  return [...pods].filter((pod) => {
    if (pod.metadata.namespace !== d.metadata.namespace) return false;
    const owner = pod.metadata.ownerReferences?.find((o) => o.controller && o.kind === 'ReplicaSet');
    return owner !== undefined && owner.name === `${d.metadata.name}-${pod.metadata.labels?.[templateHashLabel]}`;
  });
}

export interface Rollout {
  /** How many pods of the present template to make. */
  readonly create: number;
  readonly remove: readonly Pod[];
}

/** `pods` are all of the Deployment's, ending ones included. */
export function planRollout(d: Deployment, pods: readonly Pod[]): Rollout {
  const replicas = d.spec.replicas ?? 1;
  const hash = templateHash(d);
  const alive = pods.filter((p) => !isEnding(p)).sort(removeFirst);
  const current = alive.filter((p) => p.metadata.labels?.[templateHashLabel] === hash);
  const old = alive.filter((p) => !current.includes(p));
  const excess = current.slice(0, Math.max(0, current.length - replicas));
  if (d.spec.strategy?.type === 'Recreate') {
    const oldGone = !pods.some((p) => p.metadata.labels?.[templateHashLabel] !== hash);
    return { create: oldGone ? Math.max(0, replicas - current.length) : 0, remove: [...old, ...excess] };
  }
  const surge = share(d.spec.strategy?.rollingUpdate?.maxSurge ?? '25%', replicas, Math.ceil);
  const allowedAway = share(d.spec.strategy?.rollingUpdate?.maxUnavailable ?? '25%', replicas, Math.floor);
  // Both zero would never move.
  const away = surge === 0 && allowedAway === 0 ? 1 : allowedAway;
  const room = replicas + surge - alive.length;
  const ready = alive.filter(podReady).length;
  const spare = Math.max(0, ready - (replicas - away));
  const unready = old.filter((p) => !podReady(p));
  return {
    create: Math.max(0, Math.min(replicas - current.length, room)),
    remove: [...unready, ...old.filter(podReady).slice(0, spare), ...excess],
  };
}

/** Not ready before ready, then the youngest. */
function removeFirst(a: Pod, b: Pod): number {
  const order = Number(podReady(a)) - Number(podReady(b));
  if (order !== 0) return order;
  return (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '');
}

function share(value: IntOrString, of: number, round: (n: number) => number): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value);
  return percent ? round((Number(percent[1]) * of) / 100) : Number(value);
}

/** A pod of the present template. `suffix` is five characters. */
export function newPod(d: Deployment, suffix: string, nodeName: string): NewObject {
  const hash = templateHash(d);
  const { namespace } = d.metadata;
  const { labels, annotations } = d.spec.template.metadata ?? {};
  const owner = `${d.metadata.name}-${hash}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${owner}-${suffix}`,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...labels, [templateHashLabel]: hash },
      ...(annotations === undefined ? {} : { annotations }),
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: ownerUid(d, hash), controller: true },
      ],
    },
    spec: { serviceAccountName: 'default', ...d.spec.template.spec, nodeName },
  };
}

/** The ReplicaSet is no object here; its uid is the same for the same template all the same. */
function ownerUid(d: Deployment, hash: string): string {
  const h = createHash('sha256').update(`${d.metadata.uid}/${hash}`).digest('hex');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-5${h.slice(13, 16)}-8${h.slice(17, 20)}-${h.slice(20, 32)}`;
}

export function deploymentStatus(d: Deployment, pods: readonly Pod[], failure: string | undefined) {
  const hash = templateHash(d);
  const replicas = d.spec.replicas ?? 1;
  const alive = pods.filter((p) => !isEnding(p));
  const ready = alive.filter(podReady);
  const available: Condition = { type: 'Available', status: ready.length >= replicas ? 'True' : 'False' };
  const failed: Condition = {
    type: 'ReplicaFailure',
    status: 'True',
    reason: 'FailedCreate',
    ...(failure === undefined ? {} : { message: failure }),
  };
  return {
    ...(d.metadata.generation === undefined ? {} : { observedGeneration: d.metadata.generation }),
    replicas: alive.length,
    updatedReplicas: alive.filter((p) => p.metadata.labels?.[templateHashLabel] === hash).length,
    readyReplicas: ready.length,
    availableReplicas: ready.length,
    unavailableReplicas: Math.max(0, replicas - ready.length),
    conditions: failure === undefined ? [available] : [available, failed],
  };
}
