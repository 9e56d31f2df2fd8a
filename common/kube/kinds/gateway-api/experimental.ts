/** gateway.networking.x-k8s.io: kinds on trial. Of them XBackendTrafficPolicy is heeded; the rest is kept and checked. */
import { about, integer, object, oneOf, string, type TypeOf, where, withDefault } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { backendValidation, policyStatus } from './backend-tls.ts';
import {
  age,
  atomic,
  condition,
  conditionColumn,
  conditions,
  controllerName,
  duration,
  gatewayApiKind,
  group,
  keyed,
  kind,
  objectName,
  objectRef,
  portNumber,
  preciseHostname,
  secretRef,
  statusWith,
} from './common.ts';
import { parentRef, sessionPersistence } from './route.ts';

const backendSpec = where(
  object({
    'type!': oneOf('ExternalHostname'),
    externalHostname: object({
      'hostname!': where(preciseHostname, "!self.endsWith('.cluster.local')", 'expected a name outside of the cluster'),
    }),
    'port!': object({
      name: where(
        string({ maxLength: 63 }),
        "self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        'a name has lower-case letters, digits and "-" in between',
      ),
      'port!': portNumber,
    }),
    protocol: oneOf('TCP', 'HTTP', 'HTTP2', 'HTTP11', 'H2C', 'MCP'),
    tls: where(
      object({
        'mode!': oneOf('None', 'ServerOnly', 'ClientAndServer'),
        validation: backendValidation,
        clientCertificateRef: about('Secret with the certificate that is shown.', secretRef),
      }),
      "(self.mode == 'ClientAndServer') == has(self.clientCertificateRef)",
      'clientCertificateRef is for mode ClientAndServer, which needs it',
    ),
  }),
  "(self.type == 'ExternalHostname') == has(self.externalHostname)",
  'externalHostname is for type ExternalHostname, which needs it',
);

const backendStatus = about(
  'What controllers found; written by them.',
  object({
    parents: about(
      'One for each parent and controller.',
      atomic(
        object({
          'parentRef!': parentRef,
          'controllerName!': controllerName,
          conditions: keyed(condition, 'type'),
        }),
        { maxItems: 32 },
      ),
    ),
  }),
);

const interval = (rule: string, message: string) => where(duration, rule, message);
const trafficSpec = object({
  'targetRefs!': about('Services that this is for.', {
    ...keyed(object({ 'group!': group, 'kind!': kind, 'name!': objectName }), 'name', { minItems: 1, maxItems: 16 }),
    'x-kubernetes-list-map-keys': ['group', 'kind', 'name'],
  }),
  retryConstraint: about(
    'Most retries.',
    object({
      budget: about(
        'Relative to requests.',
        withDefault(
          object({
            percent: withDefault(integer(0, 100), 20),
            interval: withDefault(
              interval(
                "duration(self) >= duration('1s') && duration(self) <= duration('1h')",
                'expected a second to an hour',
              ),
              '10s',
            ),
          }),
          { percent: 20, interval: '10s' },
        ),
      ),
      minRetryRate: about(
        'Always allowed.',
        withDefault(
          object({
            count: integer(1, 1_000_000),
            interval: interval(
              "duration(self) != duration('0s') && duration(self) <= duration('1h')",
              'expected more than nothing and at most an hour',
            ),
          }),
          { count: 10, interval: '1s' },
        ),
      ),
    }),
  ),
  sessionPersistence: about('Requests of a session go to the same endpoint.', sessionPersistence),
});

const meshSpec = object({
  'controllerName!': where(controllerName, 'self == oldSelf', 'the controller of a mesh cannot change'),
  parametersRef: about('Settings of the mesh.', objectRef),
  description: string({ maxLength: 64 }),
});
const meshStatus = object({
  conditions,
  supportedFeatures: keyed(object({ 'name!': string() }), 'name', { maxItems: 64 }),
});

export interface XBackend extends KubeObject {
  readonly spec: TypeOf<typeof backendSpec>;
  readonly status?: TypeOf<typeof backendStatus>;
}
export interface XBackendTrafficPolicy extends KubeObject {
  readonly spec: TypeOf<typeof trafficSpec>;
  readonly status?: TypeOf<typeof policyStatus>;
}
export interface XMesh extends KubeObject {
  readonly spec: TypeOf<typeof meshSpec>;
  readonly status?: TypeOf<typeof meshStatus>;
}

const trial = { group: 'gateway.networking.x-k8s.io', version: 'v1alpha1' } as const;
const versions = ['v1alpha1'];

export const xBackendKind: Kind<XBackend> = { ...trial, kind: 'XBackend', plural: 'xbackends', namespaced: true };
export const xBackendTrafficPolicyKind: Kind<XBackendTrafficPolicy> = {
  ...trial,
  kind: 'XBackendTrafficPolicy',
  plural: 'xbackendtrafficpolicies',
  namespaced: true,
};
export const xMeshKind: Kind<XMesh> = { ...trial, kind: 'XMesh', plural: 'xmeshes', namespaced: false };

export const experimentalKinds = [
  gatewayApiKind(xBackendKind, {
    description: 'A backend outside of the cluster.',
    versions,
    shortNames: ['xbackend'],
    columns: [age],
    spec: backendSpec,
    status: backendStatus,
  }),
  gatewayApiKind(xBackendTrafficPolicyKind, {
    description: 'Retries and sessions of a Service.',
    versions,
    shortNames: ['xbtrafficpolicy'],
    columns: [age],
    spec: trafficSpec,
    status: policyStatus,
  }),
  gatewayApiKind(xMeshKind, {
    description: 'A mesh, with the controller that runs it.',
    versions,
    shortNames: ['mesh'],
    columns: [conditionColumn('Accepted'), age],
    spec: meshSpec,
    status: statusWith(meshStatus, 'Accepted'),
  }),
];
