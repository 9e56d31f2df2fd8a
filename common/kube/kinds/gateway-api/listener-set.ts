/** gateway.networking.k8s.io ListenerSet. */
import { about, object, type TypeOf, withDefault } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import {
  age,
  conditionColumn,
  conditions,
  gatewayApiKind,
  gatewayGroup,
  kind,
  namespace,
  objectName,
  statusWith,
} from './common.ts';
import { listenerStatuses, listeners } from './listener.ts';

const spec = object({
  'parentRef!': about(
    'The Gateway that gets the listeners.',
    object({ group: gatewayGroup, kind: withDefault(kind, 'Gateway'), 'name!': objectName, namespace }),
  ),
  'listeners!': about('Listeners beside those of the Gateway.', listeners),
});

const status = object({ conditions, listeners: about('State of each listener.', listenerStatuses) });

export interface ListenerSet extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: TypeOf<typeof status>;
}

export const listenerSetKind: Kind<ListenerSet> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  kind: 'ListenerSet',
  plural: 'listenersets',
  namespaced: true,
};

export const listenerSet = gatewayApiKind(listenerSetKind, {
  description: 'Further listeners of a Gateway, which may be of somebody else.',
  versions: ['v1'],
  shortNames: ['lset'],
  columns: [conditionColumn('Accepted'), conditionColumn('Programmed'), age],
  spec,
  status: statusWith(status, 'Accepted', 'Programmed'),
});
