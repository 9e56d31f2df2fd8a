/** Which API server a command talks to. */
import { type Settings, SettingsReader } from '../common/config/reader.ts';
import { MeshError } from '../common/core/errors.ts';
import { type ApiAccess, inClusterAccess } from '../common/kube/client/access.ts';
import { loadKubeconfig } from '../common/kube/client/kubeconfig.ts';
import { readSourcePlace } from '../common/kube/open-source.ts';

/** By the flag --kubeconfig, KUBECONFIG, or the pod that this is in. MeshError CONFIG. */
export function apiAccess(kubeconfig: string | undefined, env: Settings): ApiAccess {
  if (kubeconfig !== undefined) return loadKubeconfig(kubeconfig);
  const place = readSourcePlace(new SettingsReader(env));
  if (place?.kind === 'kubeconfig') return loadKubeconfig(place.paths);
  if (place?.kind === 'inCluster') return inClusterAccess(place);
  throw new MeshError('CONFIG', 'no API server is named: --kubeconfig FILE, or KUBECONFIG');
}
