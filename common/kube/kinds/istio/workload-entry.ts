/** networking.istio.io WorkloadEntry, and WorkloadGroup with its template of one. */
import { about, list, map, object, port, string, type TypeOf, where } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, count32, type IstioStatus, istioKind, uint32 } from './common.ts';

const workloadFields = {
  address: about(
    'IP address, DNS name, or unix:// and an absolute path or @ and an abstract name.',
    where(
      where(
        string({ maxLength: 256 }),
        "!self.startsWith('unix://') || self.startsWith('unix:///') || self.startsWith('unix://@')",
        'after unix:// an absolute path or @ and a name is expected',
      ),
      "!(self.startsWith('unix://') && self.endsWith('/'))",
      'a unix socket is a file, not a folder; remove the "/" at the end',
    ),
  ),
  ports: about(
    "Where the workload listens for each of the service's ports, by the port's name.",
    where(
      map(port, { maxProperties: 128 }),
      "self.all(name, size(name) < 63 && name.matches('^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$'))",
      'names of ports have letters, digits and "-" in between, at most 62',
    ),
  ),
  labels: about('Labels of the workload, as those of a pod.', map(string(), { maxProperties: 256 })),
  network: about(
    'Network that the address belongs to; others reach it through their gateways.',
    string({ maxLength: 2048 }),
  ),
  locality: about('Region, zone and sub-zone, with "/" between them.', string({ maxLength: 2048 })),
  weight: about('Share of the load, relative to other endpoints. Default 1.', uint32),
  serviceAccount: about(
    'Service account in this namespace whose identity the workload has.',
    string({ maxLength: 253 }),
  ),
};

const socketsHaveNoPorts = [
  "!(has(self.address) && self.address.startsWith('unix://') && has(self.ports))",
  'a unix socket has no ports; remove them',
] as const;

/** Of a WorkloadEntry, and an endpoint of a ServiceEntry. */
export const workloadEntrySpec = where(
  where(object(workloadFields), 'has(self.address) || has(self.network)', 'an address or a network is expected'),
  ...socketsHaveNoPorts,
);
export type WorkloadEntrySpec = TypeOf<typeof workloadEntrySpec>;

export interface WorkloadEntry extends KubeObject {
  readonly spec: WorkloadEntrySpec;
  readonly status?: IstioStatus;
}

export const workloadEntryKind: Kind<WorkloadEntry> = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'WorkloadEntry',
  plural: 'workloadentries',
  namespaced: true,
};

export const workloadEntry = istioKind(workloadEntryKind, {
  description: 'A workload that is no pod: a virtual machine or a program on bare metal.',
  versions: ['v1', 'v1alpha3', 'v1beta1'],
  shortNames: ['we'],
  columns: [age, { name: 'Address', type: 'string', jsonPath: '.spec.address', description: 'Where it is reached' }],
  spec: workloadEntrySpec,
});

const headerName = string({ pattern: '^[-_A-Za-z0-9]+$', expects: 'a header: letters, digits, "-" and "_"' });
const host = about('Address to connect to. Default: the workload.', string());

const probe = about(
  'How the health of workloads of this group is found.',
  object(
    {
      initialDelaySeconds: about('Seconds from the start to the first probe.', count32),
      timeoutSeconds: about('Seconds until a probe that got no answer has failed. Default 1.', count32),
      periodSeconds: about('Seconds between probes. Default 10.', count32),
      successThreshold: about('Successes in a row after which the workload counts as healthy. Default 1.', count32),
      failureThreshold: about('Failures in a row after which the workload counts as unhealthy. Default 3.', count32),
      httpGet: object({
        path: about('Path of the request.', string()),
        'port!': port,
        host,
        scheme: where(string(), "self in ['', 'HTTP', 'HTTPS']", 'expected HTTP or HTTPS'),
        httpHeaders: about('Headers of the request.', list(object({ name: headerName, value: string() }))),
      }),
      tcpSocket: object({ host, 'port!': port }),
      exec: object({
        'command!': about('The command and its arguments; status 0 is a success.', list(string({ minLength: 1 }))),
      }),
      grpc: object({ port, service: about('Name of the service in the health request.', string()) }),
    },
    { atMostOneOf: [['httpGet', 'tcpSocket', 'exec', 'grpc']] },
  ),
);

const workloadGroupSpec = object({
  metadata: about(
    'Labels and annotations of the WorkloadEntries that are made of this group.',
    object({ labels: map(string(), { maxProperties: 256 }), annotations: map(string(), { maxProperties: 256 }) }),
  ),
  'template!': about(
    'The WorkloadEntries that are made of this group.',
    where(object(workloadFields), ...socketsHaveNoPorts),
  ),
  probe,
});

export interface WorkloadGroup extends KubeObject {
  readonly spec: TypeOf<typeof workloadGroupSpec>;
  readonly status?: IstioStatus;
}

export const workloadGroupKind: Kind<WorkloadGroup> = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'WorkloadGroup',
  plural: 'workloadgroups',
  namespaced: true,
};

export const workloadGroup = istioKind(workloadGroupKind, {
  description: 'Workloads that are no pods and join the mesh by themselves: what Deployments are to pods.',
  versions: ['v1', 'v1alpha3', 'v1beta1'],
  shortNames: ['wg'],
  columns: [age],
  spec: workloadGroupSpec,
});
