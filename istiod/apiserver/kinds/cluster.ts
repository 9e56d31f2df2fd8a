/** discovery.k8s.io, coordination.k8s.io and rbac.authorization.k8s.io, as the API server serves them. */

import { kindName } from '../../../common/kube/names.ts';
import { clusterKinds } from '../../../common/kube/schema/cluster.ts';
import { discoveryKinds } from '../../../common/kube/schema/discovery.ts';
import type { KindEntry } from '../../../common/kube/schema/types.ts';
import { bindingStrategy, clusterRoleStrategy, roleStrategy } from '../authz/rbac/strategy.ts';
import type { BuiltInKind } from './built-in.ts';
import { age, listAt, orNone, text, textAt } from './columns.ts';

const entries = new Map([...discoveryKinds, ...clusterKinds].map((e) => [kindName(e.kind), e]));

function entry(name: string): KindEntry {
  return entries.get(name)!;
}

const role = text('Role', 'What is granted', (o) => `${textAt(o, 'roleRef', 'kind')}/${textAt(o, 'roleRef', 'name')}`);

export const clusterResources: readonly BuiltInKind[] = [
  {
    entry: entry('endpointslices.discovery.k8s.io'),
    columns: [
      text('AddressType', 'Family of the addresses', (o) => textAt(o, 'addressType')),
      text('Ports', 'Ports', (o) => orUnset(listAt(o, 'ports').map((p) => textAt(p, 'port')))),
      text('Endpoints', 'Addresses', (o) =>
        orUnset(listAt(o, 'endpoints').flatMap((e) => listAt(e, 'addresses').map(String))),
      ),
      age,
    ],
  },
  {
    entry: entry('leases.coordination.k8s.io'),
    columns: [text('Holder', 'Who holds it', (o) => textAt(o, 'spec', 'holderIdentity')), age],
  },
  {
    entry: entry('roles.rbac.authorization.k8s.io'),
    columns: [text('Created At', 'When it was made', (o) => o.metadata.creationTimestamp ?? '')],
    strategy: roleStrategy,
  },
  {
    entry: entry('clusterroles.rbac.authorization.k8s.io'),
    columns: [text('Created At', 'When it was made', (o) => o.metadata.creationTimestamp ?? '')],
    strategy: clusterRoleStrategy,
  },
  { entry: entry('rolebindings.rbac.authorization.k8s.io'), columns: [role, age], strategy: bindingStrategy(true) },
  {
    entry: entry('clusterrolebindings.rbac.authorization.k8s.io'),
    columns: [role, age],
    strategy: bindingStrategy(false),
  },
];

/** The first three, as kubectl shows them. */
function orUnset(values: readonly string[]): string {
  if (values.length === 0) return '<unset>';
  const more = values.length - 3;
  return more > 0 ? `${values.slice(0, 3).join(',')} + ${more} more...` : orNone(values.join(','));
}
