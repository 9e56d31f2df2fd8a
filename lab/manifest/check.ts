/** What of an object the lab does not honour, before it is applied and again before it is run. */
import type { Deployment } from '../../common/kube/kinds/apps.ts';
import type { Pod, Service, ServiceSpec } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { serviceHost } from '../addresses.ts';
import { planPod } from './pod-plan.ts';
import { type FieldProblem, Problems } from './problems.ts';

/** Kinds that the lab itself runs are checked; the mesh's own kinds are istiod's to judge. */
export function checkObject(object: KubeObject): readonly FieldProblem[] {
  const problems = new Problems();
  switch (`${object.apiVersion} ${object.kind}`) {
    case 'v1 Pod':
      planPod((object as Pod).spec, 'spec', problems);
      break;
    case 'apps/v1 Deployment':
      checkDeployment(object as Deployment, problems);
      break;
    case 'v1 Service':
      checkService((object as Service).spec, problems);
      break;
    default:
      break;
  }
  return problems.found;
}

function checkDeployment(d: Deployment, problems: Problems): void {
  problems.only(d.spec, 'spec', ['replicas', 'selector', 'template', 'strategy']);
  const labels = d.spec.template.metadata?.labels ?? {};
  const wanted = Object.entries(d.spec.selector.matchLabels ?? {});
  if (d.spec.selector.matchExpressions !== undefined) {
    problems.add('spec.selector.matchExpressions', 'a lab selects by matchLabels only');
  }
  for (const [key, value] of wanted) {
    if (labels[key] !== value) {
      problems.add('spec.template.metadata.labels', `must carry ${key}: ${value}, which spec.selector asks for`);
    }
  }
  const { restartPolicy } = d.spec.template.spec;
  if (restartPolicy !== undefined && restartPolicy !== 'Always') {
    problems.add(
      'spec.template.spec.restartPolicy',
      `pods of a Deployment always restart; "${restartPolicy}" is for a Pod`,
    );
  }
  planPod(d.spec.template.spec, 'spec.template.spec', problems);
}

const serviceFields = [
  'type',
  'clusterIP',
  'clusterIPs',
  'ipFamilies',
  'ipFamilyPolicy',
  'selector',
  'ports',
  'externalName',
  'publishNotReadyAddresses',
  'internalTrafficPolicy',
  'sessionAffinity',
  // A preference: ztunnel follows it, the nodes' nftables take any endpoint.
  'trafficDistribution',
];

function checkService(spec: ServiceSpec, problems: Problems): void {
  problems.only(spec, 'spec', serviceFields);
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') {
    problems.add(
      'spec.type',
      `a lab has no ports of nodes and no load balancers; use ClusterIP instead of ${spec.type}`,
    );
  }
  for (const [i, port] of (spec.ports ?? []).entries()) {
    problems.only(port, `spec.ports[${i}]`, ['name', 'protocol', 'appProtocol', 'port', 'targetPort']);
    if (port.protocol === 'SCTP') problems.add(`spec.ports[${i}].protocol`, 'a lab knows TCP and UDP');
  }
  for (const ip of new Set([spec.clusterIP, ...(spec.clusterIPs ?? [])])) {
    if (ip === undefined || ip === '' || ip === 'None' || serviceHost(ip) !== undefined) continue;
    problems.add('spec.clusterIP', `"${ip}" is not of a lab's Service ranges, 10.96.0.0/16 and fd00:10:96::/112`);
  }
}
