/** Leaves out of objects what the model does not read: with 10,000 pods that is most of the memory. */
import type { Container, Node, Pod } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../common/kube/kinds/discovery.ts';
import type { KubeObject, ObjectMeta } from '../../common/kube/types.ts';

/** Who wrote which field, and the object as it was once applied: often longer than the object. */
const longAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

export function trimObject<T extends KubeObject>(object: T): T {
  return { ...object, metadata: trimMeta(object.metadata) };
}

function trimMeta(metadata: ObjectMeta): ObjectMeta {
  const { managedFields: _, annotations, ...rest } = metadata as ObjectMeta & { managedFields?: unknown };
  if (annotations === undefined || Object.keys(annotations).length === 0) return rest;
  const { [longAnnotation]: __, ...others } = annotations;
  return Object.keys(others).length === 0 ? rest : { ...rest, annotations: others };
}

export function trimPod(pod: Pod): Pod {
  const { nodeName, serviceAccountName, hostNetwork, containers, initContainers } = pod.spec ?? {};
  const { phase, podIP, podIPs, conditions } = pod.status ?? {};
  const withPorts = (some: readonly Container[] | undefined) =>
    (some ?? []).flatMap(({ name, ports }) =>
      ports?.some((p) => p.name !== undefined)
        ? [
            {
              name,
              ports: ports.map(({ name: port, containerPort, protocol }) => ({
                ...(port && { name: port }),
                containerPort,
                ...(protocol && { protocol }),
              })),
            },
          ]
        : [],
    );
  const init = withPorts(initContainers);
  return {
    apiVersion: pod.apiVersion,
    kind: pod.kind,
    metadata: trimMeta(pod.metadata),
    spec: {
      containers: withPorts(containers),
      ...(init.length > 0 && { initContainers: init }),
      ...(nodeName && { nodeName }),
      ...(serviceAccountName && { serviceAccountName }),
      ...(hostNetwork && { hostNetwork }),
    },
    status: {
      ...(phase && { phase }),
      ...(podIPs ? { podIPs } : podIP ? { podIP } : {}),
      conditions: (conditions ?? []).filter((c) => c.type === 'Ready').map(({ type, status }) => ({ type, status })),
    },
  };
}

/** Its labels say where it is. */
export function trimNode({ apiVersion, kind, metadata }: Node): Node {
  const { name, uid, resourceVersion, labels } = metadata;
  return { apiVersion, kind, metadata: { name, uid, resourceVersion, ...(labels && { labels }) } };
}

export function trimSlice(slice: EndpointSlice): EndpointSlice {
  const endpoints = (slice.endpoints ?? []).map(({ addresses, conditions, nodeName, zone, targetRef }) =>
    targetRef?.kind === 'Pod'
      ? { addresses: [], targetRef: { kind: 'Pod', ...(targetRef.name && { name: targetRef.name }) } }
      : {
          addresses,
          ...(conditions?.ready !== undefined && { conditions: { ready: conditions.ready } }),
          ...(nodeName && { nodeName }),
          ...(zone && { zone }),
        },
  );
  const { apiVersion, kind, metadata, addressType, ports } = slice;
  return { apiVersion, kind, metadata: trimMeta(metadata), addressType, endpoints, ...(ports && { ports }) };
}
