/** security.istio.io (api-fields.txt). */
import { authorizationPolicyKind, peerAuthenticationKind } from '../kinds/security.ts';
import { condition } from './meta.ts';
import { intOrString, type KindEntry, list, map, object, oneOf, open, string } from './types.ts';

const strings = list(string());
const selector = object({ matchLabels: map(string({ maxLength: 63 }), { maxProperties: 4096 }) });
const targetRef = object({
  group: string({
    maxLength: 253,
    pattern: '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
    expects: 'an API group, empty for the core group',
  }),
  'kind!': string({
    minLength: 1,
    maxLength: 63,
    pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$',
    expects: 'a kind such as "Service"',
  }),
  'name!': string({ minLength: 1, maxLength: 253 }),
  namespace: string(),
});
const serviceAccounts = list(string({ maxLength: 320 }), { maxItems: 16 });
const status = object({
  conditions: list(condition),
  observedGeneration: intOrString,
  validationMessages: list(open),
});

const source = object({
  principals: strings,
  notPrincipals: strings,
  requestPrincipals: strings,
  notRequestPrincipals: strings,
  namespaces: strings,
  notNamespaces: strings,
  serviceAccounts,
  notServiceAccounts: serviceAccounts,
  trustDomains: strings,
  notTrustDomains: strings,
  ipBlocks: strings,
  notIpBlocks: strings,
  remoteIpBlocks: strings,
  notRemoteIpBlocks: strings,
});

const operation = object({
  hosts: strings,
  notHosts: strings,
  ports: strings,
  notPorts: strings,
  methods: strings,
  notMethods: strings,
  paths: strings,
  notPaths: strings,
});

const rule = object({
  from: list(object({ source }), { maxItems: 512 }),
  to: list(object({ operation })),
  when: list(object({ 'key!': string(), values: strings, notValues: strings })),
});

const mutualTls = object({ mode: oneOf('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT') });

export const securityKinds: readonly KindEntry[] = [
  {
    kind: authorizationPolicyKind,
    versions: ['v1', 'v1beta1'],
    nameRule: 'subdomain',
    fields: object({
      spec: object(
        {
          selector,
          targetRef,
          targetRefs: list(targetRef, { maxItems: 16 }),
          action: oneOf('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
          provider: object({ name: string() }),
          rules: list(rule, { maxItems: 512 }),
        },
        { atMostOneOf: [['selector', 'targetRef', 'targetRefs']] },
      ),
      status,
    }),
  },
  {
    kind: peerAuthenticationKind,
    versions: ['v1', 'v1beta1'],
    nameRule: 'subdomain',
    fields: object({
      spec: object({ selector, mtls: mutualTls, portLevelMtls: map(mutualTls) }),
      status,
    }),
  },
];
