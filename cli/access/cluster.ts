/** The cluster that a command talks to. */
import type { Settings } from '../../common/config/reader.ts';
import type { KubeClient } from '../../common/kube/client/client.ts';
import { apiAccess, clientOf, kubeconfigOf } from '../api-access.ts';
import type { ConnectionValues } from '../connection-options.ts';

export interface Cluster {
  readonly client: KubeClient;
  /** What -n says, else the context's. */
  readonly namespace: string;
  /** What -n says; undefined: nothing. */
  readonly onlyNamespace: string | undefined;
  readonly istioNamespace: string;
  /** Path of the kubeconfig; undefined inside of a pod. */
  readonly kubeconfig: string | undefined;
}

/** Uses the cluster and closes the connections afterwards. MeshError CONFIG. */
export async function withCluster<T>(
  values: ConnectionValues,
  env: Settings,
  use: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const access = apiAccess(values, env);
  const client = clientOf(access, values);
  try {
    return await use({
      client,
      namespace: values.namespace ?? access.namespace,
      onlyNamespace: values.namespace,
      istioNamespace: values.istioNamespace,
      kubeconfig: kubeconfigOf(values.kubeconfig, env),
    });
  } finally {
    client.close();
  }
}
