/**
 * Manifests as a cluster would run them: pods of Deployments, addresses, enrolment as the node agent decides it. For questions about
 * files; of a cluster everything is there already. Pure.
 */
import { decideEnrolment } from '../../cni/enrolment.ts';
import { type Deployment, deploymentKind } from '../../common/kube/kinds/apps.ts';
import type { Namespace, Pod, Service } from '../../common/kube/kinds/core.ts';
import { type Gateway, gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { waypointClassName } from '../../istiod/model/waypoint.ts';

export function simulate(given: readonly KubeObject[]): readonly KubeObject[] {
  const objects = given.flatMap(withWaypoint);
  const namespaces = new Map(
    objects.filter((o) => o.kind === 'Namespace').map((n) => [n.metadata.name, n as unknown as Namespace]),
  );
  let [pods, services] = [0, 0];
  const running = (pod: Pod): KubeObject => {
    const { podIP } = pod.status ?? {};
    const ip = podIP ?? `10.244.${Math.floor(++pods / 250)}.${(pods % 250) + 1}`;
    const enrolled = decideEnrolment(pod, namespaces.get(pod.metadata.namespace ?? ''), new Set()).kind === 'enrol';
    const redirection = enrolled && podIP === undefined ? { 'ambient.istio.io/redirection': 'enabled' } : {};
    return {
      ...pod,
      metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, ...redirection } },
      spec: { nodeName: 'node', serviceAccountName: 'default', ...pod.spec },
      status: {
        phase: 'Running',
        podIP: ip,
        podIPs: [{ ip }],
        conditions: [{ type: 'Ready', status: 'True' }],
        ...pod.status,
      },
    };
  };
  return objects.flatMap((object): KubeObject | readonly KubeObject[] => {
    switch (object.kind) {
      case 'Pod':
        return running(object as Pod);
      case deploymentKind.kind: {
        const { spec, metadata } = object as Deployment;
        const { namespace } = metadata;
        const pod = {
          ...object,
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: {
            ...spec.template.metadata,
            name: `${metadata.name}-0`,
            ...(namespace === undefined ? {} : { namespace }),
            uid: `${metadata.name}-0`,
            resourceVersion: '',
          },
          spec: spec.template.spec,
        } as unknown as Pod;
        return [object, running(pod)];
      }
      case 'Service': {
        const { spec } = object as Service;
        if (spec.clusterIP !== undefined || spec.type === 'ExternalName') return object;
        const ip = `10.96.${Math.floor(++services / 250)}.${(services % 250) + 1}`;
        return { ...object, spec: { ...spec, clusterIP: ip, clusterIPs: [ip] } };
      }
      default:
        return object;
    }
  });
}

/** A waypoint serves as soon as there is one: a pod, a Service before it, and its name in the Gateway's status. */
function withWaypoint(object: KubeObject): KubeObject | readonly KubeObject[] {
  if (object.kind !== gatewayKind.kind || !object.apiVersion.startsWith(gatewayKind.group)) return object;
  const { spec, status, metadata } = object as Gateway;
  if (spec.gatewayClassName !== waypointClassName || (status?.addresses?.length ?? 0) > 0) return object;
  const { name, namespace = 'default' } = metadata;
  const labels = { 'gateway.networking.k8s.io/gateway-name': name, 'istio.io/dataplane-mode': 'none' };
  const made = (kind: string, rest: object, at = name) => ({
    apiVersion: 'v1',
    kind,
    metadata: { name: at, namespace, uid: at, resourceVersion: '', labels },
    ...rest,
  });
  const address = { type: 'Hostname', value: `${name}.${namespace}.svc.cluster.local` };
  return [
    { ...object, status: { ...status, addresses: [address] } },
    made('Service', { spec: { selector: labels, ports: [{ name: 'mesh', port: 15_008, appProtocol: 'hbone' }] } }),
    made('Pod', { spec: { serviceAccountName: name, containers: [] } }, `${name}-0`),
  ];
}
