/** The kinds of the Gateway API. */
import type { CustomKind } from '../../schema/types.ts';
import { backendTlsPolicy } from './backend-tls.ts';
import { experimentalKinds } from './experimental.ts';
import { gateway } from './gateway.ts';
import { gatewayClass } from './gateway-class.ts';
import { grpcRoute } from './grpc-route.ts';
import { httpRoute } from './http-route.ts';
import { listenerSet } from './listener-set.ts';
import { referenceGrant } from './reference-grant.ts';
import { streamRoutes } from './stream-routes.ts';

export const gatewayApiKinds: readonly CustomKind[] = [
  gatewayClass,
  gateway,
  listenerSet,
  httpRoute,
  grpcRoute,
  ...streamRoutes,
  referenceGrant,
  backendTlsPolicy,
  ...experimentalKinds,
];
