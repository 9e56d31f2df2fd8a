/** Pods without what no controller reads: ten thousand of them are kept in memory. Pure. */
import type { Container, Pod } from '../../../../common/kube/kinds/core.ts';

export function slimPod({ apiVersion, kind, metadata, spec, status }: Pod): Pod {
  const {
    managedFields: _fields,
    annotations: _notes,
    ...meta
  } = metadata as Pod['metadata'] & {
    readonly managedFields?: unknown;
  };
  const { containers, initContainers, ephemeralContainers: _ephemeral, volumes: _volumes, ...rest } = spec;
  return {
    apiVersion,
    kind,
    metadata: meta,
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
