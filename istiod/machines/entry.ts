/**
 * WorkloadEntries that istiod makes for machines that join by themselves, and keeps while they are connected: names, annotations and
 * fields as Istio's, so that either istiod goes on with the other's. Pure.
 */
import { parseIp } from '../../common/core/net.ts';
import type { WorkloadEntry, WorkloadEntrySpec, WorkloadGroup } from '../../common/kube/kinds/istio/workload-entry.ts';
import type { KubeObject, NewObject } from '../../common/kube/types.ts';

/** What a node says of itself (ISTIO_META_*), and what its credential says. */
export interface Machine {
  readonly group: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly ip: string;
  readonly network: string;
  /** An agent beside it tells whether it is healthy. */
  readonly isProbed: boolean;
}

export const groupAnnotation = 'istio.io/autoRegistrationGroup';
export const controllerAnnotation = 'istio.io/workloadController';
export const connectedAnnotation = 'istio.io/connectedAt';
export const disconnectedAnnotation = 'istio.io/disconnectedAt';
export const probedAnnotation = 'proxy.istio.io/health-checks-enabled';
/** Condition of a WorkloadEntry. */
export const healthy = 'Healthy';

/** Longest name of an object; the end tells machines apart. */
const longestName = 253;

export function entryName({ group, ip, network }: Machine): string {
  const parts = [group, ip.replaceAll(':', '-'), ...(network === '' ? [] : [network])];
  return parts.join('-').slice(-longestName);
}

/** Why the machine cannot have that entry; undefined: it can. */
export function objection(machine: Machine, spec: WorkloadEntrySpec): string | undefined {
  if (parseIp(machine.ip) === undefined) return `${JSON.stringify(machine.ip)} is no address of a machine`;
  const { serviceAccount = '' } = spec;
  if (serviceAccount === machine.serviceAccount) return undefined;
  return `it is for service account ${JSON.stringify(serviceAccount)}, the machine has ${machine.serviceAccount}`;
}

/**
 * Of its group, with the machine's address and network. Labels are the group's alone: by labels of its own a machine would join any Service
 * of the namespace.
 */
export function entryOf(machine: Machine, group: WorkloadGroup): NewObject & { readonly spec: WorkloadEntrySpec } {
  const { template, metadata } = group.spec;
  const { name, uid } = group.metadata;
  const labels = { 'networking.istio.io/tunnel': 'http', ...template.labels, ...metadata?.labels };
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: {
      name: entryName(machine),
      namespace: machine.namespace,
      labels,
      annotations: {
        ...metadata?.annotations,
        [groupAnnotation]: name,
        ...(machine.isProbed && { [probedAnnotation]: 'true' }),
      },
      ownerReferences: [{ apiVersion: group.apiVersion, kind: 'WorkloadGroup', name, uid, controller: true }],
    },
    spec: {
      ...template,
      labels,
      address: machine.ip,
      ...(machine.network !== '' && { network: machine.network }),
    },
  };
}

/** Annotations of an entry whose machine is connected to that istiod; without that of one that is gone. */
export function connected(controller: string, now: number): Readonly<Record<string, string>> {
  return { [controllerAnnotation]: controller, [connectedAnnotation]: new Date(now).toISOString() };
}

/** Whether an entry that was made for a machine is to go: it went `grace` ms ago, or its istiod has said nothing for `lease` ms. */
export function isLeft({ metadata }: KubeObject, now: number, grace: number, lease: number): boolean {
  const { annotations = {} } = metadata;
  if (annotations[groupAnnotation] === undefined) return false;
  const at = (name: string) => Date.parse(annotations[name] ?? '');
  const came = at(connectedAnnotation);
  if (annotations[connectedAnnotation] !== undefined) return now - came > lease;
  return now - at(disconnectedAnnotation) >= grace;
}

/** Whether a machine that is probed has not said that it is healthy. */
export function isUnhealthy(entry: WorkloadEntry): boolean {
  if (entry.metadata.annotations?.[probedAnnotation] !== 'true') return false;
  return !entry.status?.conditions?.some((c) => c.type === healthy && c.status === 'True');
}
