/** What an Envoy that connects is told for: by its metadata, and by what istiod knows of its pod. */
import { stringField, textsField } from '../../../common/api/index.ts';
import { isIpv6, parseIp } from '../../../common/core/net.ts';
import type { ClientProxy, EnvoyProxy } from '../../envoy/proxy.ts';
import type { ProxyPlace } from '../../model/envoy/mesh-view.ts';
import { gatewayNameLabel } from '../../model/waypoint.ts';
import type { Identity } from '../identity.ts';

const nowhere = { region: '', zone: '', subzone: '' };

export type ProxyVerdict =
  | { readonly kind: 'ok'; readonly proxy: EnvoyProxy }
  | { readonly kind: 'refused'; readonly reason: string };

/** `place` undefined: its pod is not announced. `network` is the cluster's own. */
export function proxyOf(
  { kind, namespace, account, id, metadata }: Exclude<Identity, { kind: 'refused' }>,
  place: ProxyPlace | undefined,
  network: string,
): ProxyVerdict {
  // What istiod knows itself counts before what the proxy says.
  const labels = place?.labels ?? textsField(metadata, 'LABELS');
  const common = {
    namespace,
    account,
    locality: place?.workload.locality ?? nowhere,
    node: place?.workload.node ?? stringField(metadata, 'NODE_NAME') ?? '',
    network: place?.workload.network ?? network,
    families: familiesOf(id.split('~')[1] ?? '', stringField(metadata, 'INSTANCE_IPS') ?? ''),
    engine: engineOf(metadata),
  };
  if (kind === 'waypoint') {
    const name = labels[gatewayNameLabel];
    if (name === undefined || namespace === '') {
      return { kind: 'refused', reason: `waypoint ${id} has no label ${gatewayNameLabel}, which names its Gateway` };
    }
    return { kind: 'ok', proxy: { ...common, kind: 'waypoint', gateway: `${namespace}/${name}` } };
  }
  const isGrpc = stringField(metadata, 'GENERATOR') === 'grpc';
  return { kind: 'ok', proxy: { ...common, kind: 'client', interception: interceptionOf(metadata), labels, isGrpc } };
}

function interceptionOf(metadata: Parameters<typeof stringField>[0]): ClientProxy['interception'] {
  const said = stringField(metadata, 'INTERCEPTION_MODE');
  return said === 'NONE' || said === 'TPROXY' ? said : 'REDIRECT';
}

function engineOf(metadata: Parameters<typeof stringField>[0]): EnvoyProxy['engine'] {
  const says = (name: string) => stringField(metadata, name) === 'true';
  return says('AQUIFER_WAYPOINT') ? 'aquifer' : says('ISTIO_EXTENSIONS') ? 'istio' : 'envoy';
}

function familiesOf(own: string, more: string): EnvoyProxy['families'] {
  const ips = [own, ...more.split(',')].flatMap((text) => parseIp(text.trim()) ?? []);
  const six = ips.some(isIpv6);
  const four = ips.some((ip) => !isIpv6(ip));
  return six && four ? 'both' : six ? 'ipv6' : 'ipv4';
}
