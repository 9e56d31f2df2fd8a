/** The class of waypoints, which istiod makes itself where nobody did. */
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { GatewayClass } from '../../common/kube/kinds/gateway-api/gateway-class.ts';
import type { NewObject } from '../../common/kube/types.ts';
import type { WantedCondition } from '../model/condition.ts';
import { waypointController } from '../model/waypoint.ts';

/** What it is called where no GatewayClass says otherwise. */
export const waypointClassName = 'istio-waypoint';

export const waypointClass: NewObject = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'GatewayClass',
  metadata: { name: waypointClassName },
  spec: { controllerName: waypointController, description: 'L7 proxies of the mesh, run by istiod' },
};

export const acceptedClass: ReadonlyMap<string, WantedCondition> = new Map([
  ['Accepted', { status: 'True', reason: 'Accepted', message: 'istiod makes the Gateways of this class' }],
]);

/** Whether istiod makes it. A class that is called as ours but has another controller is not ours. */
export function isWaypointGateway({ spec }: Gateway, gatewayClass: GatewayClass | undefined): boolean {
  return gatewayClass === undefined
    ? spec.gatewayClassName === waypointClassName
    : gatewayClass.spec.controllerName === waypointController;
}
