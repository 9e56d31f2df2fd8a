/** Pods without what no controller reads: ten thousand of them are kept in memory. Pure. */
import type { Container, Pod } from '../../../../common/kube/kinds/core.ts';

/** Tells which replicas can best be missed. */
export const deletionCost = 'controller.kubernetes.io/pod-deletion-cost';
/** The number of an Indexed Job's pod. */
export const completionIndex = 'batch.kubernetes.io/job-completion-index';
const keptAnnotations = [deletionCost, completionIndex];

export function slimPod({ apiVersion, kind, metadata, spec, status }: Pod): Pod {
  const {
    managedFields: _fields,
    annotations = {},
    ...meta
  } = metadata as Pod['metadata'] & {
    readonly managedFields?: unknown;
  };
  const { containers, initContainers, ephemeralContainers: _ephemeral, volumes: _volumes, ...rest } = spec;
  const kept = Object.entries(annotations).filter(([k]) => keptAnnotations.includes(k));
  return {
    apiVersion,
    kind,
    metadata: kept.length === 0 ? meta : { ...meta, annotations: Object.fromEntries(kept) },
    spec: {
      ...rest,
      containers: containers.map(slimContainer),
      ...(initContainers === undefined ? {} : { initContainers: initContainers.map(slimContainer) }),
    },
    ...(status === undefined ? {} : { status }),
  };
}

function slimContainer({ name, ports, resources, restartPolicy }: Container): Container {
  return {
    name,
    ...(ports === undefined ? {} : { ports }),
    ...(resources === undefined ? {} : { resources }),
    ...(restartPolicy === undefined ? {} : { restartPolicy }),
  };
}
