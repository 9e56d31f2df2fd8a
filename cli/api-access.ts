/** Which API server a command talks to. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Settings, SettingsReader } from '../common/config/reader.ts';
import { MeshError } from '../common/core/errors.ts';
import { type ApiAccess, inClusterAccess } from '../common/kube/client/access.ts';
import { loadKubeconfig } from '../common/kube/client/kubeconfig.ts';
import { readSourcePlace } from '../common/kube/open-source.ts';

/** By the flag --kubeconfig, KUBECONFIG, ~/.kube/config, or the pod that this is in. MeshError CONFIG. */
export function apiAccess(kubeconfig: string | undefined, env: Settings, context?: string): ApiAccess {
  const paths = kubeconfigOf(kubeconfig, env);
  if (paths !== undefined) return loadKubeconfig(paths, { context });
  const place = readSourcePlace(new SettingsReader(env));
  if (place?.kind === 'inCluster') return inClusterAccess(place);
  throw new MeshError('CONFIG', 'no API server is named: --kubeconfig FILE, or KUBECONFIG');
}

/** Paths with colons between; undefined where only the pod can tell. */
export function kubeconfigOf(flag: string | undefined, env: Settings): string | undefined {
  if (flag !== undefined) return flag;
  const place = readSourcePlace(new SettingsReader(env));
  if (place?.kind === 'kubeconfig') return place.paths;
  const home = env['HOME'];
  const usual = home === undefined ? undefined : join(home, '.kube/config');
  return usual !== undefined && existsSync(usual) ? usual : undefined;
}
