/** Type URLs that ztunnel subscribes to, in this order (ambient-wire 3.1). */
export const addressTypeUrl = 'type.googleapis.com/istio.workload.Address';
export const authorizationTypeUrl = 'type.googleapis.com/istio.security.Authorization';
