/** Which addresses and node ports a Service is to have; those that are to be found are left open. Pure. */
import type { ServicePort, ServiceSpec } from '../../../../common/kube/kinds/core.ts';
import type { Cause, CauseType } from '../../status.ts';
import type { Family } from '../runtime/address-range.ts';

export type AddressPlan =
  /** ExternalName: none. */
  | { readonly kind: 'none' }
  | { readonly kind: 'headless'; readonly families: readonly Family[]; readonly policy: Policy }
  | {
      readonly kind: 'addresses';
      /** The one asked for, or undefined: any. In the order of families. */
      readonly addresses: readonly { readonly family: Family; readonly address: string | undefined }[];
      readonly policy: Policy;
    };

export type Policy = NonNullable<ServiceSpec['ipFamilyPolicy']>;

/** A mistake of the client. */
export class PlanError extends Error {
  override readonly cause: Cause;

  constructor(field: string, message: string, reason: CauseType = 'FieldValueInvalid') {
    super(message);
    this.cause = { field: `spec.${field}`, message, reason };
  }
}

const headless = 'None';

/** `served`: families of the cluster, the usual one first. Throws PlanError. */
export function planAddresses(spec: ServiceSpec, old: ServiceSpec | undefined, served: readonly Family[]): AddressPlan {
  const before = old?.type === 'ExternalName' ? undefined : old;
  if (spec.type === 'ExternalName') {
    const own = spec.clusterIP ?? '';
    if (own !== '' && own !== before?.clusterIP)
      throw new PlanError('clusterIP', 'may not be set when `type` is `ExternalName`', 'FieldValueForbidden');
    return { kind: 'none' };
  }
  const asked = askedAddresses(spec, before);
  const isHeadless = asked[0] === headless;
  if (isHeadless && spec.type !== undefined && spec.type !== 'ClusterIP')
    throw new PlanError('clusterIPs[0]', `may not be set to 'None' for ${spec.type} services`);
  const given = isHeadless ? [] : asked.map(familyOf);
  const wanted = spec.ipFamilies ?? [];
  given.forEach((family, i) => {
    if (wanted[i] !== undefined && wanted[i] !== family)
      throw new PlanError(`clusterIPs[${i}]`, `expected an ${wanted[i]} value as indicated by \`ipFamilies[${i}]\``);
  });
  if (new Set(wanted).size !== wanted.length) throw new PlanError('ipFamilies', 'must not have the same family twice');
  if (before?.ipFamilies?.[0] !== undefined && wanted[0] !== undefined && wanted[0] !== before.ipFamilies[0])
    throw new PlanError('ipFamilies[0]', 'may not change once set');
  const named = [...wanted, ...given.slice(wanted.length)];
  const policy = policyOf(spec, named, isHeadless);
  const families = familiesFor(policy, named.length > 0 ? named : (before?.ipFamilies ?? []), served);
  if (isHeadless) return { kind: 'headless', families, policy };
  return { kind: 'addresses', policy, addresses: families.map((family, i) => ({ family, address: asked[i] })) };
}

/** clusterIP and clusterIPs say the same; what an update leaves out stays. */
function askedAddresses(spec: ServiceSpec, old: ServiceSpec | undefined): readonly string[] {
  const first = spec.clusterIP ?? '';
  const all = spec.clusterIPs ?? [];
  if (old?.clusterIP !== undefined && old.clusterIP !== '') {
    const kept = old.clusterIPs ?? [old.clusterIP];
    if (first !== '' && first !== old.clusterIP) throw new PlanError('clusterIP', 'may not change once set');
    if (all.length > 0 && all[0] !== kept[0]) throw new PlanError('clusterIPs[0]', 'may not change once set');
    return all.length > 0 && kept.length < 2 ? all : kept;
  }
  if (first !== '' && all.length > 0 && first !== all[0])
    throw new PlanError('clusterIPs', 'first value must match `clusterIP`');
  if (all.length > 0) return all;
  return first === '' ? [] : [first];
}

function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

function policyOf(spec: ServiceSpec, named: readonly Family[], isHeadless: boolean): Policy {
  const { ipFamilyPolicy } = spec;
  if (ipFamilyPolicy !== undefined) return ipFamilyPolicy;
  if (named.length === 2) return 'RequireDualStack';
  const selectorless = Object.keys(spec.selector ?? {}).length === 0;
  // Whose endpoints nobody knows may have those of both families.
  return isHeadless && selectorless && named.length === 0 ? 'RequireDualStack' : 'SingleStack';
}

function familiesFor(policy: Policy, named: readonly Family[], served: readonly Family[]): readonly Family[] {
  for (const family of named) {
    if (!served.includes(family)) throw new PlanError('ipFamilies', `${family} is not configured on this cluster`);
  }
  const first = named[0] ?? served[0]!;
  if (policy === 'SingleStack') return [first];
  const second = served.find((f) => f !== first);
  if (second !== undefined) return [first, second];
  if (policy === 'RequireDualStack')
    throw new PlanError('ipFamilyPolicy', 'this cluster is not configured for dual-stack services');
  return [first];
}

/** Number asked for; `any`: one is to be found; `none`: it has none. */
export type NodePortPlan = number | 'any' | 'none';

/** In the order of spec.ports. Throws PlanError. */
export function planNodePorts(spec: ServiceSpec, old: ServiceSpec | undefined): readonly NodePortPlan[] {
  const ports = spec.ports ?? [];
  const wanted =
    spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec['allocateLoadBalancerNodePorts'] !== false);
  const seen = new Set<string>();
  return ports.map((port, i) => {
    const asked = port.nodePort ?? 0;
    const before = old?.ports?.find((p) => isSamePort(p, port))?.nodePort ?? 0;
    if (!wanted) {
      if (asked !== 0 && spec.type === 'LoadBalancer') return asked;
      if (asked !== 0 && asked !== before)
        throw new PlanError(
          `ports[${i}].nodePort`,
          `may not be used when \`type\` is '${spec.type ?? 'ClusterIP'}'`,
          'FieldValueForbidden',
        );
      return 'none';
    }
    const number = asked || before;
    if (number === 0) return 'any';
    const id = `${port.protocol ?? 'TCP'}/${number}`;
    if (seen.has(id)) throw new PlanError(`ports[${i}].nodePort`, `${number} is there twice`, 'FieldValueDuplicate');
    seen.add(id);
    return number;
  });
}

function isSamePort(a: ServicePort, b: ServicePort): boolean {
  return a.port === b.port && (a.protocol ?? 'TCP') === (b.protocol ?? 'TCP');
}
