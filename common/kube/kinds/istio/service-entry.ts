/** networking.istio.io ServiceEntry. */
import { about, list, object, oneOf, port, string, type TypeOf, where } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, type IstioStatus, istioKind, labelSelector } from './common.ts';
import { workloadEntrySpec } from './workload-entry.ts';

const servicePort = object({
  'number!': about('Port that clients connect to.', port),
  protocol: about(
    'HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TCP, TLS, MONGO, MYSQL, REDIS or UDP. Default TCP.',
    string({ maxLength: 256 }),
  ),
  'name!': about('Name of the port, unique in the service.', string({ maxLength: 256 })),
  targetPort: about('Port on the endpoints. Default: the same number.', port),
});

const ports = where(
  list(servicePort, { maxItems: 256, 'x-kubernetes-list-map-keys': ['name'] }),
  'self.all(one, self.exists_one(other, other.number == one.number))',
  'two ports have the same number',
);

const serviceEntrySpec = [
  [
    '!has(self.workloadSelector) || !has(self.endpoints)',
    'endpoints come from workloadSelector or are listed; keep one of the two',
  ],
  [
    "!has(self.resolution) || self.resolution in ['NONE', 'STATIC'] || !has(self.addresses) || !self.addresses.exists(a, a.contains('/'))",
    'an address may be a CIDR only with resolution NONE or STATIC',
  ],
  [
    "(has(self.resolution) && self.resolution != 'NONE') || !has(self.endpoints)",
    'with resolution NONE connections go where the client wanted; remove the endpoints or choose STATIC or DNS',
  ],
  [
    "!has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' || !has(self.endpoints) || self.endpoints.size() <= 1",
    'resolution DNS_ROUND_ROBIN takes one endpoint at most',
  ],
].reduce(
  (schema, [rule, message]) => where(schema, rule!, message!),
  object({
    'hosts!': about(
      'DNS names of the service; the first label may be a wildcard.',
      list(where(string(), "self != '*'", 'a service is not the whole world: expected a name or *.domain'), {
        minItems: 1,
        maxItems: 256,
      }),
    ),
    addresses: about(
      'Virtual IP addresses of the service, or CIDRs. Without any, the mesh gives it one.',
      list(string({ maxLength: 64 }), { maxItems: 256 }),
    ),
    ports: about('Ports of the service.', ports),
    location: about(
      'Whether its endpoints are of the mesh. Default MESH_EXTERNAL.',
      oneOf('MESH_EXTERNAL', 'MESH_INTERNAL'),
    ),
    resolution: about(
      'How endpoints are found: where the client wanted (NONE), as listed or selected (STATIC), by looking up their names (DNS, DNS_ROUND_ROBIN) or the name that the client gave (DYNAMIC_DNS).',
      oneOf('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'),
    ),
    endpoints: about('Endpoints of the service.', list(workloadEntrySpec, { maxItems: 4096 })),
    workloadSelector: labelSelector,
    exportTo: about(
      'Namespaces that see the service: names, "." for its own, "*" for all, "~" for none. Default all.',
      list(string()),
    ),
    subjectAltNames: about("Names that an endpoint's certificate may have.", list(string())),
  }),
);
export type ServiceEntrySpec = TypeOf<typeof serviceEntrySpec>;

export interface ServiceEntry extends KubeObject {
  readonly spec: ServiceEntrySpec;
  readonly status?: IstioStatus & {
    /** Given to a service without any: one of each family and host. */
    readonly addresses?: readonly { readonly value?: string; readonly host?: string }[];
  };
}

export const serviceEntryKind: Kind<ServiceEntry> = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'ServiceEntry',
  plural: 'serviceentries',
  namespaced: true,
};

export const serviceEntry = istioKind(serviceEntryKind, {
  description: 'A service that Kubernetes does not know: outside of the cluster, or of workloads that are no pods.',
  versions: ['v1', 'v1alpha3', 'v1beta1'],
  shortNames: ['se'],
  columns: [
    { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts', description: 'Names of the service' },
    { name: 'Location', type: 'string', jsonPath: '.spec.location', description: 'Outside or inside of the mesh' },
    { name: 'Resolution', type: 'string', jsonPath: '.spec.resolution', description: 'How its endpoints are found' },
    age,
  ],
  spec: serviceEntrySpec,
});
