/** Listeners, of Gateways and of ListenerSets. */
import { about, int32, object, oneOf, string, where, withDefault } from '../../schema/types.ts';
import {
  atomic,
  conditions,
  gatewayGroup,
  hostname,
  keyed,
  kind,
  labelSelector,
  optionMap,
  portNumber,
  secretRef,
  sectionName,
  subdomainPattern,
} from './common.ts';

const routeNamespaces = about(
  'Namespaces whose routes may attach. Default: the same.',
  withDefault(object({ from: withDefault(oneOf('All', 'Selector', 'Same'), 'Same'), selector: labelSelector }), {
    from: 'Same',
  }),
);
const routeKind = object({ group: gatewayGroup, 'kind!': kind });

export const listener = object({
  'name!': about('Name that routes attach to.', sectionName),
  hostname: about('DNS name that is served; without it all are.', hostname),
  'port!': about('Port of the network.', portNumber),
  'protocol!': about(
    'HTTP, HTTPS, TLS, TCP, UDP, HBONE, or a domain, "/" and a name.',
    string({
      minLength: 1,
      maxLength: 255,
      pattern: `^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|${subdomainPattern}\\/[A-Za-z0-9]+$`,
      expects: 'a protocol such as HTTPS, or a domain, "/" and a name',
    }),
  ),
  tls: where(
    object({
      mode: about(
        'Whether TLS ends here or passes through. Default Terminate.',
        withDefault(oneOf('Terminate', 'Passthrough'), 'Terminate'),
      ),
      certificateRefs: about('Secrets with certificate and key.', atomic(secretRef, { maxItems: 64 })),
      options: about('Settings that only implementations know.', optionMap),
    }),
    "self.mode != 'Terminate' || size(self.certificateRefs) > 0 || size(self.options) > 0",
    'mode Terminate needs certificateRefs or options',
  ),
  allowedRoutes: about(
    'Which routes may attach.',
    withDefault(
      object({
        namespaces: routeNamespaces,
        kinds: about('Kinds of routes. Default: those that suit the protocol.', atomic(routeKind, { maxItems: 8 })),
      }),
      { namespaces: { from: 'Same' } },
    ),
  ),
});

const sameHost = '(has(one.hostname) == has(other.hostname) && (!has(one.hostname) || one.hostname == other.hostname))';
const rules = [
  ["self.all(l, !(l.protocol in ['HTTP', 'TCP', 'UDP']) || !has(l.tls))", 'HTTP, TCP and UDP have no tls'],
  [
    "self.all(l, l.protocol != 'HTTPS' || !has(l.tls) || l.tls.mode in ['', 'Terminate'])",
    'of protocol HTTPS: the tls mode has to be Terminate',
  ],
  [
    "self.all(l, !(l.protocol in ['TCP', 'UDP']) || !has(l.hostname) || l.hostname == '')",
    'TCP and UDP carry no name: remove the hostname',
  ],
  [
    "self.all(l, l.protocol != 'TLS' || (has(l.tls) && has(l.tls.mode) && l.tls.mode != ''))",
    'of protocol TLS: a tls mode is expected',
  ],
  ['self.all(one, self.exists_one(other, other.name == one.name))', 'two listeners have the same name'],
  [
    `self.all(one, self.exists_one(other, other.port == one.port && other.protocol == one.protocol && ${sameHost}))`,
    'two listeners have the same port, protocol and hostname',
  ],
] as const;

export const listeners = rules.reduce(
  (schema, [rule, message]) => where(schema, rule, message),
  keyed(listener, 'name', { minItems: 1, maxItems: 64 }),
);

export const listenerStatus = object({
  'name!': about('Name of the listener.', sectionName),
  supportedKinds: about('Kinds of routes that may attach.', atomic(routeKind, { maxItems: 8 })),
  'attachedRoutes!': about('How many routes are attached.', int32),
  'conditions!': conditions,
});
export const listenerStatuses = keyed(listenerStatus, 'name', { maxItems: 64 });
