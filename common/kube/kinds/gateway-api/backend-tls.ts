/** TLS towards backends: gateway.networking.k8s.io BackendTLSPolicy, and the part that XBackend has too. */
import { about, object, oneOf, string, type TypeOf, where } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import {
  age,
  atomic,
  controllerName,
  gatewayApiKind,
  group,
  hostname,
  kind,
  localObjectRef,
  objectName,
  optionMap,
  preciseHostname,
  reportedConditions,
  sectionName,
  subdomainPattern,
} from './common.ts';
import { parentRef, typed } from './route.ts';

const uri = string({
  minLength: 1,
  maxLength: 253,
  pattern: '^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\\?([^#]*))?(#(.*))?',
  expects: 'a URI such as spiffe://cluster.local/ns/web/sa/default',
});
const subjectAltName = typed(object({ 'type!': oneOf('Hostname', 'URI'), hostname, uri }), {
  Hostname: 'hostname',
  URI: 'uri',
});
const listed = '(has(self.caCertificateRefs) && self.caCertificateRefs.size() > 0)';
const known = "(has(self.wellKnownCACertificates) && self.wellKnownCACertificates != '')";

export const backendValidation = where(
  object({
    caCertificateRefs: about('ConfigMaps with the authorities.', atomic(localObjectRef, { maxItems: 8 })),
    wellKnownCACertificates: about(
      'Authorities that the system knows.',
      string({
        minLength: 1,
        maxLength: 253,
        pattern: `^(System|(${subdomainPattern}/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$`,
        expects: 'System, or a domain, "/" and a name',
      }),
    ),
    'hostname!': about('Name that is asked for, and that the certificate has to have.', preciseHostname),
    subjectAltNames: about(
      'Names that the certificate may have in its place.',
      atomic(subjectAltName, { maxItems: 5 }),
    ),
  }),
  `${listed} != ${known}`,
  'authorities are listed in caCertificateRefs or come by wellKnownCACertificates: expected one of the two',
);

const names = (item: string) => `(has(${item}.sectionName) && ${item}.sectionName != '')`;
const sameTarget = 'other.group == one.group && other.kind == one.kind && other.name == one.name';

const spec = object({
  'targetRefs!': about(
    'Services that this is for.',
    where(
      where(
        atomic(
          object({
            'group!': group,
            'kind!': kind,
            'name!': objectName,
            sectionName: about('One port of the Service, by its name.', sectionName),
          }),
          { minItems: 1, maxItems: 16 },
        ),
        `self.all(one, self.all(other, !(${sameTarget}) || ${names('one')} == ${names('other')}))`,
        'a target is named twice: each time a sectionName has to say which port',
      ),
      `self.all(one, self.exists_one(other, ${sameTarget} && (has(one.sectionName) ? one.sectionName : '') == (has(other.sectionName) ? other.sectionName : '')))`,
      'the same port of a target is named twice',
    ),
  ),
  'validation!': about("How the backend's certificate is verified.", backendValidation),
  options: about('Settings that only implementations know.', optionMap),
});

export const policyStatus = about(
  'What controllers found; written by them.',
  object({
    'ancestors!': about(
      'One for each Gateway and controller.',
      atomic(
        object({ 'ancestorRef!': parentRef, 'controllerName!': controllerName, 'conditions!': reportedConditions }),
        {
          maxItems: 16,
        },
      ),
    ),
  }),
);

export interface BackendTlsPolicy extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: TypeOf<typeof policyStatus>;
}

export const backendTlsPolicyKind: Kind<BackendTlsPolicy> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  kind: 'BackendTLSPolicy',
  plural: 'backendtlspolicies',
  namespaced: true,
};

export const backendTlsPolicy = gatewayApiKind(backendTlsPolicyKind, {
  description: 'How TLS is spoken with a Service.',
  versions: ['v1', 'v1alpha3'],
  deprecated: ['v1alpha3'],
  shortNames: ['btlspolicy'],
  columns: [age],
  spec,
  status: policyStatus,
});
