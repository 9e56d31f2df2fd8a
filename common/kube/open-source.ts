/** Where a program finds the Kubernetes objects: an API server by kubeconfig, or the one whose pod it is. */
import type { SettingsReader } from '../config/reader.ts';
import { inClusterAccess } from './client/access.ts';
import { createKubeClient, type KubeClient } from './client/client.ts';
import { loadKubeconfig } from './client/kubeconfig.ts';

export type SourcePlace =
  /** Paths with colons between. */
  | { readonly kind: 'kubeconfig'; readonly paths: string }
  | { readonly kind: 'inCluster'; readonly host: string; readonly port: string };

export const kubeconfigFlag = '--kubeconfig';

/** What --kubeconfig says, else KUBECONFIG, else what a pod's environment says. */
export function readSourcePlace(r: SettingsReader): SourcePlace | undefined {
  const paths = r.text(kubeconfigFlag) ?? r.text('KUBECONFIG');
  if (paths !== undefined) return { kind: 'kubeconfig', paths };
  const [host, port] = [r.text('KUBERNETES_SERVICE_HOST'), r.text('KUBERNETES_SERVICE_PORT')];
  return host === undefined || port === undefined ? undefined : { kind: 'inCluster', host, port };
}

/** As a mistake of the settings when there is none. */
export const sourcePlaceMissing = '--kubeconfig is not set: the kubeconfig of an API server (or KUBECONFIG)';

/** MeshError CONFIG when the place cannot be read. The signal ends it. */
export function openSource(place: SourcePlace, signal: AbortSignal): KubeClient {
  const access = place.kind === 'kubeconfig' ? loadKubeconfig(place.paths) : inClusterAccess(place);
  const source = createKubeClient({ access });
  signal.addEventListener('abort', () => source.close(), { once: true });
  return source;
}
