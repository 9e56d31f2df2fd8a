/** What the user calls source and destination, as the mesh knows them. Pure. */
import { MeshError } from '../../common/core/errors.ts';
import { type Ip, parseIp, type SocketAddr } from '../../common/core/net.ts';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { Workload } from '../../common/mesh/types.ts';
import { selectsLabels } from '../../istiod/model/selector.ts';

export interface Places {
  readonly store: MeshReader;
  readonly objects: readonly KubeObject[];
  /** Suffix of service names. */
  readonly domain: string;
}

/** An address, `NAMESPACE/POD`, `pod/NAMESPACE/NAME` or `deploy/NAMESPACE/NAME`. MeshError NOT_FOUND. */
export function findWorkload({ store, objects }: Places, text: string): Workload {
  const ip = parseIp(text);
  if (ip !== undefined) {
    const found = store.workloads().find((w) => w.addresses.includes(ip));
    if (found !== undefined) return found;
    throw new MeshError('NOT_FOUND', `no workload has the address ${text}`);
  }
  const [first = '', second, third, ...more] = text.split('/');
  const [kind, namespace, name] = third === undefined ? ['pod', first, second] : [first, second!, third];
  if (name === undefined || name === '' || more.length > 0) {
    throw new MeshError(
      'CONFIG',
      `${JSON.stringify(text)} is no workload: NAMESPACE/POD, deploy/NAMESPACE/NAME or an address`,
    );
  }
  const isDeployment = /^(deploy|deployment)$/.test(kind);
  if (!isDeployment && kind !== 'pod')
    throw new MeshError('CONFIG', `${JSON.stringify(kind)} is neither pod nor deploy`);
  const [found] = isDeployment ? podsOf(store, objects, namespace, name) : store.workloadsByName(namespace, name);
  if (found !== undefined) return found;
  throw new MeshError(
    'NOT_FOUND',
    `the mesh knows no ${isDeployment ? 'pod of the Deployment' : 'pod'} ${namespace}/${name}`,
  );
}

function podsOf(
  store: MeshReader,
  objects: readonly KubeObject[],
  namespace: string,
  name: string,
): readonly Workload[] {
  const deployment = objects.find(
    (o) => o.kind === deploymentKind.kind && o.metadata.namespace === namespace && o.metadata.name === name,
  );
  const selector = (deployment?.['spec'] as { readonly selector?: Parameters<typeof selectsLabels>[0] } | undefined)
    ?.selector;
  if (selector === undefined) return [];
  return objects
    .filter((o) => o.kind === 'Pod' && o.metadata.namespace === namespace && selectsLabels(selector, o.metadata.labels))
    .flatMap((pod) => store.workloadsByName(namespace, pod.metadata.name));
}

/** `HOST:PORT`: an address, a workload as above, `svc/NAMESPACE/NAME`, or a name as the source would call it. MeshError. */
export function findTarget(places: Places, text: string, source: Workload): SocketAddr {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  if (colon <= 0 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new MeshError('CONFIG', `${JSON.stringify(text)} is no destination: HOST:PORT`);
  }
  return { ip: addressOf(places, host, source), port } as SocketAddr;
}

function addressOf(places: Places, host: string, source: Workload): Ip {
  const ip = parseIp(host);
  if (ip !== undefined) return ip;
  const { store, domain } = places;
  const [kind, namespace, name] = host.split('/');
  if (namespace !== undefined && kind !== 'svc' && kind !== 'service') {
    const { addresses } = findWorkload(places, host);
    if (addresses[0] !== undefined) return addresses[0];
    throw new MeshError('NOT_FOUND', `${host} has no address`);
  }
  const parts = host.split('.');
  const full =
    namespace !== undefined
      ? `${name}.${namespace}.svc.${domain}`
      : parts.length === 1
        ? `${host}.${source.namespace}.svc.${domain}`
        : parts.length === 2 || (parts.length === 3 && parts[2] === 'svc')
          ? `${parts[0]}.${parts[1]}.svc.${domain}`
          : host;
  const service = store.serviceByHostname(full, source.namespace) ?? store.serviceByHostname(host, source.namespace);
  if (service === undefined) throw new MeshError('NOT_FOUND', `the mesh knows no service ${full}`);
  const vip = service.addresses.find((a) => a.network === source.network && a.length === undefined)?.ip;
  const found = vip ?? store.endpoints(service)[0]?.workload.addresses[0];
  if (found !== undefined) return found;
  throw new MeshError('NOT_FOUND', `the service ${full} has neither an address nor an endpoint`);
}
