/** The older Endpoints object of a Service, of its first family; and slices from Endpoints that a user wrote. Pure. */
import { parseIp } from '../../../../common/core/net.ts';
import type { Pod, Service } from '../../../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import type { Family } from '../runtime/address-range.ts';
import { isDeleting, isFinished, isReady } from '../runtime/pod-state.ts';
import { addressOf, type Group, portsOf, type SlicePort } from './pods.ts';

interface Address {
  readonly ip: string;
  readonly hostname?: string;
  readonly nodeName?: string;
  readonly targetRef?: Readonly<Record<string, string>>;
}

export interface Subset {
  readonly addresses?: readonly Address[];
  readonly notReadyAddresses?: readonly Address[];
  readonly ports?: readonly SlicePort[];
}

export interface Endpoints extends KubeObject {
  readonly subsets?: readonly Subset[];
}

/** More are left out, with an annotation that says so. */
export const addressLimit = 1000;

export function subsetsOf(
  service: Service,
  pods: readonly Pod[],
): { readonly subsets: readonly Subset[]; readonly truncated: boolean } {
  const family = service.spec.ipFamilies?.[0] ?? 'IPv4';
  const publish = service.spec.publishNotReadyAddresses === true;
  const shown = pods
    .filter((p) => !isFinished(p) && (publish || !isDeleting(p)) && addressOf(p, family) !== undefined)
    .sort((a, b) => (addressOf(a, family)! < addressOf(b, family)! ? -1 : 1));
  const groups = Map.groupBy(shown.slice(0, addressLimit), (p) => JSON.stringify(portsOf(service, p)));
  const subsets = [...groups].map(([text, members]) => {
    const ports = (JSON.parse(text) as SlicePort[]).map(({ name, ...port }) => (name ? { name, ...port } : port));
    const [ready, not] = [true, false].map((wanted) =>
      members.filter((p) => (publish || isReady(p)) === wanted).map((p) => address(service, p, addressOf(p, family)!)),
    );
    return {
      ...(ready!.length === 0 ? {} : { addresses: ready! }),
      ...(not!.length === 0 ? {} : { notReadyAddresses: not! }),
      ...(ports.length === 0 ? {} : { ports }),
    };
  });
  return { subsets, truncated: shown.length > addressLimit };
}

function address(service: Service, { metadata, spec }: Pod, ip: string): Address {
  const { hostname = '', subdomain, nodeName } = spec;
  const { namespace = '', name, uid } = metadata;
  return {
    ip,
    ...(hostname !== '' && subdomain === service.metadata.name ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
}

/** What a user says of a Service without a selector. */
export function mirrored({ subsets = [] }: Endpoints): readonly Group[] {
  return subsets.flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }) => {
    const all = [
      ...addresses.map((a) => [a, true] as const),
      ...notReadyAddresses.map((a) => [a, false] as const),
    ].filter(([a]) => parseIp(a.ip) !== undefined);
    const byFamily = Map.groupBy(all, ([a]): Family => (a.ip.includes(':') ? 'IPv6' : 'IPv4'));
    return [...byFamily].map(([family, members]) => ({
      family,
      ports: ports.map((p) => ({ name: '', ...p })),
      endpoints: members.map(([{ ip, hostname, nodeName, targetRef }, ready]) => ({
        addresses: [ip],
        conditions: { ready },
        ...(hostname === undefined ? {} : { hostname }),
        ...(nodeName === undefined ? {} : { nodeName }),
        ...(targetRef === undefined ? {} : { targetRef }),
      })),
    }));
  });
}
