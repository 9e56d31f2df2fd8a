/** Services: what is filled in and refused. Addresses are given out by controllers/services. Pure. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';
import { listAt, textAt } from './columns.ts';
import { duplicate, forbidden, invalidValue, required } from './rules.ts';

export function fillService(object: ApiObject): void {
  const { spec } = object;
  if (!isObject(spec)) return;
  for (const port of listAt(spec, 'ports')) if (isObject(port)) port['targetPort'] ??= port['port'];
  const type = spec['type'];
  if (type !== 'ExternalName') spec['internalTrafficPolicy'] ??= 'Cluster';
  if (type === 'NodePort' || type === 'LoadBalancer') spec['externalTrafficPolicy'] ??= 'Cluster';
  if (type === 'LoadBalancer') spec['allocateLoadBalancerNodePorts'] ??= true;
  if (spec['sessionAffinity'] === 'ClientIP')
    spec['sessionAffinityConfig'] ??= { clientIP: { timeoutSeconds: 10_800 } };
}

export function checkService(service: ApiObject): readonly Cause[] {
  const causes: Cause[] = [];
  const type = textAt(service, 'spec', 'type');
  const ports = listAt(service, 'spec', 'ports');
  const headless = textAt(service, 'spec', 'clusterIP') === 'None';
  if (type === 'ExternalName') {
    if (textAt(service, 'spec', 'externalName') === '') causes.push(required('spec.externalName'));
  } else if (ports.length === 0 && !headless) causes.push(required('spec.ports'));
  if (headless && type !== 'ClusterIP')
    causes.push(invalidValue('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${type} services`));
  const seen = new Set<string>();
  ports.forEach((port, i) => {
    const field = `spec.ports[${i}]`;
    const name = textAt(port, 'name');
    if (name === '' && ports.length > 1) causes.push(required(`${field}.name`));
    if (name !== '' && seen.has(name)) causes.push(duplicate(`${field}.name`, name));
    seen.add(name);
    causes.push(...checkTarget((port as Record<string, unknown>)['targetPort'], `${field}.targetPort`));
    const node = textAt(port, 'nodePort');
    if (type === 'ClusterIP' && node !== '' && node !== '0')
      causes.push(forbidden(`${field}.nodePort`, "may not be used when `type` is 'ClusterIP'"));
  });
  return causes;
}

/** A number of a port, or the name of one (RFC 6335 5.1). */
function checkTarget(target: unknown, field: string): readonly Cause[] {
  if (target === undefined) return [];
  const ok =
    typeof target === 'number'
      ? target >= 1 && target <= 65_535
      : /^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/.test(String(target)) && !String(target).includes('--');
  return ok ? [] : [invalidValue(field, target, 'must be a port number from 1 to 65535, or the name of a port')];
}
