/** The core group, as the API server serves it. */

import { kindName } from '../../../common/kube/names.ts';
import { clusterKinds } from '../../../common/kube/schema/cluster.ts';
import { coreKinds } from '../../../common/kube/schema/core.ts';
import type { KindEntry } from '../../../common/kube/schema/types.ts';
import type { BuiltInKind } from './built-in.ts';
import { age, at, listAt, number, orNone, text, textAt } from './columns.ts';
import { checkData, checkSecret } from './data-rules.ts';
import { eventColumns } from './event-columns.ts';
import { podColumns } from './pod-columns.ts';
import { checkPodSpec, checkPodUpdate } from './pod-rules.ts';
import { fillPodSpec, podGracePeriod } from './pods.ts';
import { checkService, fillService } from './service-rules.ts';

const entries = new Map([...coreKinds, ...clusterKinds].map((e) => [kindName(e.kind), e]));

function entry(name: string): KindEntry {
  return entries.get(name)!;
}

const data = number(
  'Data',
  'Number of keys',
  (o) =>
    Object.keys((at(o, 'data') ?? {}) as object).length + Object.keys((at(o, 'binaryData') ?? {}) as object).length,
);

export const coreResources: readonly BuiltInKind[] = [
  {
    entry: entry('namespaces.core'),
    shortNames: ['ns'],
    hasStatus: true,
    selectableFields: ['status.phase'],
    verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
    columns: [text('Status', 'Phase of the namespace', (o) => textAt(o, 'status', 'phase')), age],
    strategy: {
      prepareCreate(object) {
        object['spec'] = { finalizers: ['kubernetes'] };
        object['status'] = { phase: 'Active' };
        object.metadata.labels = {
          ...object.metadata.labels,
          'kubernetes.io/metadata.name': object.metadata.name ?? '',
        };
      },
      prepareUpdate(object, old, subresource) {
        if (subresource !== 'finalize') object['spec'] = old['spec'];
      },
      isHeld: (object) => listAt(object, 'spec', 'finalizers').length > 0,
      prepareDelete(object) {
        object['status'] = { ...(at(object, 'status') as object | undefined), phase: 'Terminating' };
      },
    },
  },
  {
    entry: entry('nodes.core'),
    shortNames: ['no'],
    hasStatus: true,
    selectableFields: ['spec.unschedulable'],
    columns: [
      text('Status', 'Whether the node is ready', nodeStatus),
      text('Roles', 'Roles by label', (o) =>
        orNone(
          Object.keys(o.metadata.labels ?? {})
            .filter((l) => l.startsWith('node-role.kubernetes.io/'))
            .map((l) => l.slice('node-role.kubernetes.io/'.length))
            .join(','),
        ),
      ),
      age,
      text('Version', 'Of the kubelet', (o) => textAt(o, 'status', 'nodeInfo', 'kubeletVersion')),
    ],
  },
  {
    entry: entry('pods.core'),
    shortNames: ['po'],
    categories: ['all'],
    hasStatus: true,
    hasGeneration: true,
    selectableFields: [
      'spec.nodeName',
      'spec.restartPolicy',
      'spec.schedulerName',
      'spec.serviceAccountName',
      'spec.hostNetwork',
      'status.phase',
      'status.podIP',
      'status.nominatedNodeName',
    ],
    columns: podColumns,
    strategy: {
      fillIn(o) {
        // What is absent on the wire is empty to all that look at it before it is refused.
        o['spec'] ??= {};
        fillPodSpec(o['spec']);
      },
      validate(object, old, subresource) {
        if (subresource === 'status') return [];
        const rules = checkPodSpec(object['spec'], 'spec');
        return old === undefined || subresource !== '' ? rules : [...rules, ...checkPodUpdate(object, old)];
      },
      prepareCreate(object) {
        object['status'] = { phase: 'Pending' };
      },
      gracePeriod: podGracePeriod,
    },
  },
  {
    entry: entry('services.core'),
    shortNames: ['svc'],
    categories: ['all'],
    hasStatus: true,
    selectableFields: ['spec.clusterIP', 'spec.type'],
    columns: [
      text('Type', 'How the service is reached', (o) => textAt(o, 'spec', 'type')),
      text('Cluster-IP', 'Its address in the cluster', (o) => orNone(textAt(o, 'spec', 'clusterIP'))),
      text('External-IP', 'Addresses outside', externalAddresses),
      text('Port(s)', 'Ports and protocols', (o) =>
        orNone(
          listAt(o, 'spec', 'ports')
            .map((p) => {
              const node = textAt(p, 'nodePort');
              return `${textAt(p, 'port')}${node === '' || node === '0' ? '' : `:${node}`}/${textAt(p, 'protocol')}`;
            })
            .join(','),
        ),
      ),
      age,
    ],
    strategy: {
      fillIn: fillService,
      prepareCreate(object) {
        object['status'] = { loadBalancer: {} };
      },
      validate: checkService,
    },
  },
  { entry: entry('configmaps.core'), shortNames: ['cm'], columns: [data, age], strategy: { validate: checkData } },
  {
    entry: entry('secrets.core'),
    selectableFields: ['type'],
    columns: [text('Type', 'What the secret is for', (o) => textAt(o, 'type')), data, age],
    strategy: {
      validate: checkSecret,
      /** stringData is a way to write data, and is never read. */
      fillIn(object) {
        const plain = at(object, 'stringData');
        if (typeof plain !== 'object' || plain === null) return;
        const written = Object.entries(plain).map(([k, v]) => [k, Buffer.from(String(v)).toString('base64')] as const);
        object['data'] = { ...(at(object, 'data') as object | undefined), ...Object.fromEntries(written) };
        delete object['stringData'];
      },
    },
  },
  {
    entry: entry('serviceaccounts.core'),
    shortNames: ['sa'],
    columns: [number('Secrets', 'Number of secrets', (o) => listAt(o, 'secrets').length), age],
  },
  {
    entry: entry('events.core'),
    shortNames: ['ev'],
    selectableFields: [
      'involvedObject.kind',
      'involvedObject.namespace',
      'involvedObject.name',
      'involvedObject.uid',
      'involvedObject.apiVersion',
      'involvedObject.resourceVersion',
      'involvedObject.fieldPath',
      'reason',
      'reportingComponent',
      'source',
      'type',
    ],
    columns: eventColumns({ last: 'lastTimestamp', object: 'involvedObject', message: 'message' }),
  },
  {
    entry: entry('endpoints.core'),
    shortNames: ['ep'],
    columns: [
      text('Endpoints', 'Addresses and ports that are ready', (o) =>
        orNone(
          listAt(o, 'subsets')
            .flatMap((s) => {
              const ports = listAt(s, 'ports').map((p) => textAt(p, 'port'));
              const ips = listAt(s, 'addresses').map((a) => textAt(a, 'ip'));
              return ips.flatMap((ip) => (ports.length === 0 ? [ip] : ports.map((p) => `${ip}:${p}`)));
            })
            .slice(0, 3)
            .join(','),
        ),
      ),
      age,
    ],
  },
];

function nodeStatus(node: unknown): string {
  const ready = listAt(node, 'status', 'conditions').find((c) => textAt(c, 'type') === 'Ready');
  const status = ready === undefined ? 'Unknown' : textAt(ready, 'status') === 'True' ? 'Ready' : 'NotReady';
  return at(node, 'spec', 'unschedulable') === true ? `${status},SchedulingDisabled` : status;
}

function externalAddresses(service: unknown): string {
  if (textAt(service, 'spec', 'type') === 'ExternalName') return textAt(service, 'spec', 'externalName');
  const own = listAt(service, 'spec', 'externalIPs').map(String);
  const ingress = listAt(service, 'status', 'loadBalancer', 'ingress').map(
    (i) => textAt(i, 'ip') || textAt(i, 'hostname'),
  );
  const all = [...ingress, ...own];
  if (all.length > 0) return all.join(',');
  return textAt(service, 'spec', 'type') === 'LoadBalancer' ? '<pending>' : '<none>';
}
