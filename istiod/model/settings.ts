/** What of the mesh's configuration the model needs. */
export interface MeshSettings {
  /** `CLUSTER_ID`, default `Kubernetes`. */
  readonly clusterId: string;
  readonly trustDomain: string;
  /** Suffix of service hostnames, default `cluster.local`. */
  readonly domain: string;
  /** Its policies without selector apply to the whole mesh. Default `istio-system`. */
  readonly rootNamespace: string;
}

/** The cluster's own: the default one, which is the empty string on the wire. */
export const network = '';
