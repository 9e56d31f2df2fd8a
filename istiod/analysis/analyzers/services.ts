/** Services, ServiceEntries, DestinationRules. */
import { serviceKind } from '../../../common/kube/kinds/core.ts';
import { type DestinationRule, destinationRuleKind } from '../../../common/kube/kinds/istio/destination-rule.ts';
import { type ServiceEntry, serviceEntryKind } from '../../../common/kube/kinds/istio/service-entry.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import { selects } from '../../model/selector.ts';
import type { Analyzer, Message } from '../world.ts';

const protocols = ['http', 'http2', 'https', 'grpc', 'grpc-web', 'mongo', 'mysql', 'redis', 'tcp', 'tls', 'udp'];
const system = /^(kube-|istio-system$|local-path-storage$)/;

/** `http`, `grpc-web-api`: the protocol, alone or with "-" and more behind. */
function namesProtocol(name: string): boolean {
  return protocols.some((p) => name === p || name.startsWith(`${p}-`));
}

export const analyzePortNames: Analyzer = (world) =>
  world.all(serviceKind).flatMap((object) => {
    if (system.test(namespaceOf(object))) return [];
    const isExternal = object.spec.type === 'ExternalName';
    return (object.spec.ports ?? []).flatMap((port, i): readonly Message[] => {
      const {
        name = '',
        appProtocol,
        protocol = 'TCP',
      } = port as { name?: string; appProtocol?: string; protocol?: string };
      if (appProtocol !== undefined || protocol === 'UDP' || namesProtocol(name)) return [];
      const field = `spec.ports[${i}].name`;
      const remedy = 'name it <protocol> or <protocol>-<more>, or set appProtocol';
      return isExternal
        ? [
            {
              sort: 'ExternalNameServiceTypeInvalidPortName',
              object,
              field,
              text: `the name "${name}" tells no protocol, so this port takes every connection to its number; ${remedy}`,
            },
          ]
        : [
            {
              sort: 'PortNameIsNotUnderNamingConvention',
              object,
              field,
              text: `the name "${name}" of port ${port.port} tells no protocol, so it is guessed from the first bytes; ${remedy}`,
            },
          ];
    });
  });

/** Of one port of one host proxies know one protocol. */
export const analyzeEntryProtocols: Analyzer = (world) => {
  const seen = new Map<string, Map<string, ServiceEntry[]>>();
  for (const object of world.all(serviceEntryKind)) {
    for (const host of object.spec.hosts) {
      for (const { number, protocol = 'TCP' } of object.spec.ports ?? []) {
        const key = `${host.toLowerCase()}:${number}`;
        const by = seen.get(key) ?? new Map<string, ServiceEntry[]>();
        by.set(protocol.toUpperCase(), [...(by.get(protocol.toUpperCase()) ?? []), object]);
        seen.set(key, by);
      }
    }
  }
  return [...seen].flatMap(([key, by]) => {
    if (by.size < 2) return [];
    const text = `${key} is said to speak ${[...by].map(([p, o]) => `${p} (${o.map((e) => `${namespaceOf(e)}/${e.metadata.name}`).join(', ')})`).join(' and ')}; the oldest counts`;
    return [...new Set([...by.values()].flat())].map(
      (object) => ({ sort: 'ConflictingServiceEntryProtocol', object, field: 'spec.ports', text }) as const,
    );
  });
};

export const analyzeDestinationRules: Analyzer = (world) =>
  world.all(destinationRuleKind).flatMap((object): readonly Message[] => {
    const { spec } = object;
    if (spec === undefined) return [];
    const namespace = namespaceOf(object);
    const name = world.fullName(spec.host, namespace);
    const messages: Message[] = [...unverified(object)];
    if (name.includes('*')) return messages;
    const service = world.serviceOf(name, namespace);
    if (service === undefined) {
      if (world.canTell(name)) {
        messages.push({
          sort: 'UnknownDestinationRuleHost',
          object,
          field: 'spec.host',
          text: `${spec.host} (${name}) is no Service and no ServiceEntry that this namespace sees, so the rule is for nothing`,
        });
      }
      return messages;
    }
    const selector = 'selector' in service.spec ? service.spec.selector : undefined;
    if (service.kind !== 'Service' || selector === undefined || world.workloads.length === 0) return messages;
    spec.subsets?.forEach(({ name: subset, labels = {} }, i) => {
      const wanted = { ...selector, ...labels };
      const found = world.workloads.some((w) => w.namespace === namespaceOf(service) && selects(wanted, w.labels));
      if (found || Object.keys(labels).length === 0) return;
      const shown = Object.entries(labels).map(([k, v]) => `${k}=${v}`);
      messages.push({
        sort: 'DestinationRuleSubsetNotSelectPods',
        object,
        field: `spec.subsets[${i}]`,
        text: `no pod of ${name} has the labels ${shown.join(',')} of the subset ${subset}; requests to it are answered with 503`,
      });
    });
    return messages;
  });

function unverified(object: DestinationRule): readonly Message[] {
  const messages: Message[] = [];
  const check = (policy: NonNullable<DestinationRule['spec']['trafficPolicy']> | undefined, at: string) => {
    const isOpen = (
      tls: { readonly mode?: string; readonly caCertificates?: string; readonly credentialName?: string } | undefined,
    ) => (tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL') && !tls.caCertificates && !tls.credentialName;
    const text =
      "no authorities are named, so proxies take the system's, or any certificate where there are none; set caCertificates or credentialName";
    if (isOpen(policy?.tls))
      messages.push({ sort: 'NoServerCertificateVerificationDestinationLevel', object, field: `${at}.tls`, text });
    policy?.portLevelSettings?.forEach(({ tls }, i) => {
      if (isOpen(tls))
        messages.push({
          sort: 'NoServerCertificateVerificationPortLevel',
          object,
          field: `${at}.portLevelSettings[${i}].tls`,
          text,
        });
    });
  };
  check(object.spec.trafficPolicy, 'spec.trafficPolicy');
  object.spec.subsets?.forEach((s, i) => {
    check(s.trafficPolicy, `spec.subsets[${i}].trafficPolicy`);
  });
  return messages;
}
