/** Types of Envoy's resources, as clients subscribe to them. */

export const clusterTypeUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster' as const;
export const endpointTypeUrl = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment' as const;
export const listenerTypeUrl = 'type.googleapis.com/envoy.config.listener.v3.Listener' as const;
export const routeTypeUrl = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration' as const;
export const secretTypeUrl = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret' as const;

/** In the order in which clients are told: what refers to others comes after them. */
export const envoyTypes = [clusterTypeUrl, endpointTypeUrl, listenerTypeUrl, routeTypeUrl] as const;
/** Secrets are asked for by whose TLS names them. */
export const servedTypes = [...envoyTypes, secretTypeUrl] as const;
export type EnvoyType = (typeof servedTypes)[number];
