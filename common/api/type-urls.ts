/** Type URLs that ztunnel subscribes to, in this order (ambient-wire 3.1). */
export const addressTypeUrl = 'type.googleapis.com/istio.workload.Address';
export const authorizationTypeUrl = 'type.googleapis.com/istio.security.Authorization';
/** Workloads alone, as older clients ask for them; the body is the Workload without an Address around it. */
export const workloadTypeUrl = 'type.googleapis.com/istio.workload.Workload';
