/** Istio's Gateways: pods, Secrets, ports; two that claim one name. */
import { secretKind, serviceKind } from '../../../common/kube/kinds/core.ts';
import { type IstioGateway, istioGatewayKind } from '../../../common/kube/kinds/istio/istio-gateway.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import { selects } from '../../model/selector.ts';
import { type Analyzer, covers, type Message } from '../world.ts';

export const analyzeIstioGateways: Analyzer = (world) =>
  world.all(istioGatewayKind).flatMap((object): readonly Message[] => {
    const { selector = {}, servers = [] } = object.spec ?? {};
    const pods = world.workloads.filter((w) => selects(selector, w.labels));
    if (Object.keys(selector).length > 0 && pods.length === 0 && world.workloads.length > 0) {
      const shown = Object.entries(selector).map(([k, v]) => `${k}=${v}`);
      const text = `no pod has the labels ${shown.join(',')}, so nobody serves this Gateway`;
      return [{ sort: 'ReferencedResourceNotFound', object, field: 'spec.selector', text }];
    }
    const messages: Message[] = [];
    const namespaces = new Set(pods.map((p) => p.namespace));
    servers.forEach((server, i) => {
      const names = [server.tls?.credentialName, ...(server.tls?.credentialNames ?? [])].filter(
        (n) => n !== undefined && n !== '',
      );
      for (const name of names) {
        if (!world.knowsAll(secretKind) || name!.includes('://') || namespaces.size === 0) continue;
        const missing = [...namespaces].filter((ns) => world.get(secretKind, ns, name!) === undefined);
        if (missing.length === 0) continue;
        const text = `the Secret ${name} is not in the namespace ${missing.join(', ')} of the gateway's pods, so no TLS connection succeeds`;
        messages.push({
          sort: 'ReferencedResourceNotFound',
          object,
          field: `spec.servers[${i}].tls.credentialName`,
          text,
        });
      }
      const services = world.all(serviceKind).filter((s) => {
        const own = s.spec.selector ?? {};
        return (
          Object.keys(own).length > 0 && pods.some((p) => p.namespace === namespaceOf(s) && selects(own, p.labels))
        );
      });
      const open = services.flatMap((s) =>
        (s.spec.ports ?? []).flatMap((p) => [p.port, Number(p.targetPort ?? p.port)]),
      );
      if (services.length > 0 && !open.includes(server.port.number)) {
        const text = `no Service of the gateway's pods has the port ${server.port.number}, so nothing arrives there`;
        messages.push({ sort: 'GatewayPortNotDefinedOnService', object, field: `spec.servers[${i}].port`, text });
      }
    });
    return messages;
  });

interface Claim {
  readonly object: IstioGateway;
  readonly index: number;
  readonly host: string;
  readonly bind: string;
  readonly port: number;
  readonly selector: string;
  readonly credential: string | undefined;
}

function claimsOf(object: IstioGateway): readonly Claim[] {
  const selector = JSON.stringify(Object.entries(object.spec?.selector ?? {}).sort());
  return (object.spec?.servers ?? []).flatMap((server, index) =>
    server.hosts.map((host) => ({
      object,
      index,
      // Another namespace's routes are another matter.
      host: host.replace(/^(\*|\.)\//, ''),
      bind: server.bind ?? '',
      port: server.port.number,
      selector,
      credential: server.tls?.credentialName,
    })),
  );
}

export const analyzeGatewayClaims: Analyzer = (world) => {
  const claims = world.all(istioGatewayKind).flatMap(claimsOf);
  return claims.flatMap((one): readonly Message[] => {
    const others = claims.filter((c) => c.object !== one.object && c.selector === one.selector && c.port === one.port);
    const messages: Message[] = [];
    const same = others.find((c) => c.host === one.host && c.bind === one.bind);
    const field = `spec.servers[${one.index}].hosts`;
    if (same !== undefined) {
      const text = `the Gateway ${namespaceOf(same.object)}/${same.object.metadata.name} serves ${one.host} on port ${one.port} of the same pods; one of the two is not used`;
      messages.push({ sort: 'ConflictingGateways', object: one.object, field, text });
    }
    const shared = others.find(
      (c) =>
        c.credential !== undefined &&
        c.credential === one.credential &&
        c.host !== one.host &&
        !covers(c.host, one.host),
    );
    if (shared !== undefined) {
      const text = `the Gateway ${namespaceOf(shared.object)}/${shared.object.metadata.name} shows the same certificate (${one.credential}); clients that reuse connections for other names get 404`;
      messages.push({
        sort: 'GatewayDuplicateCertificate',
        object: one.object,
        field: `spec.servers[${one.index}].tls.credentialName`,
        text,
      });
    }
    return messages;
  });
};
