/** The class of waypoints, which istiod makes itself where nobody did. */
import type { NewObject } from '../../common/kube/types.ts';
import type { WantedCondition } from '../model/condition.ts';
import { waypointClassName, waypointController } from '../model/waypoint.ts';

export const waypointClass: NewObject = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'GatewayClass',
  metadata: { name: waypointClassName },
  spec: { controllerName: waypointController, description: 'L7 proxies of the mesh, run by istiod' },
};

export const acceptedClass: ReadonlyMap<string, WantedCondition> = new Map([
  ['Accepted', { status: 'True', reason: 'Accepted', message: 'istiod makes the Gateways of this class' }],
]);
