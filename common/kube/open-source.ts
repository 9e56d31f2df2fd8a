/** Where a program finds the Kubernetes objects: an API server by kubeconfig or as a pod, or a folder of YAML. */
import type { SettingsReader } from '../config/reader.ts';
import { assertNever } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { inClusterAccess } from './client/access.ts';
import { createKubeClient } from './client/client.ts';
import { loadKubeconfig } from './client/kubeconfig.ts';
import { createFolderSource } from './folder/folder-source.ts';
import type { Problem } from './manifests/problem.ts';
import type { KubeSource } from './types.ts';

export type SourcePlace =
  | { readonly kind: 'folder'; readonly dir: string }
  /** Paths with colons between. */
  | { readonly kind: 'kubeconfig'; readonly paths: string }
  | { readonly kind: 'inCluster'; readonly host: string; readonly port: string };

export const kubeconfigFlag = '--kubeconfig';

/** What --kubeconfig says, else AQUIFER_KUBE_DIR, else KUBECONFIG, else what a pod's environment says. */
export function readSourcePlace(r: SettingsReader): SourcePlace | undefined {
  const paths = r.text(kubeconfigFlag) ?? (r.text('AQUIFER_KUBE_DIR') === undefined ? r.text('KUBECONFIG') : undefined);
  if (paths !== undefined) return { kind: 'kubeconfig', paths };
  const dir = r.text('AQUIFER_KUBE_DIR');
  if (dir !== undefined) return { kind: 'folder', dir };
  const [host, port] = [r.text('KUBERNETES_SERVICE_HOST'), r.text('KUBERNETES_SERVICE_PORT')];
  return host === undefined || port === undefined ? undefined : { kind: 'inCluster', host, port };
}

/** As a mistake of the settings when there is none. */
export const sourcePlaceMissing =
  '--kubeconfig is not set: the kubeconfig of an API server (or KUBECONFIG; AQUIFER_KUBE_DIR for a folder of YAML)';

export interface OpenSource {
  readonly source: KubeSource;
  /** What is wrong with the objects where they come from. */
  readonly problems: () => readonly Problem[];
  /** GET of any path of an API server. */
  readonly document?: (path: string) => Promise<unknown>;
}

/** MeshError CONFIG when the place cannot be read. The signal ends it. */
export async function openSource(
  place: SourcePlace,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<OpenSource> {
  switch (place.kind) {
    case 'folder': {
      const source = await createFolderSource({ dir: place.dir, log, signal });
      return { source, problems: () => source.problems() };
    }
    case 'kubeconfig':
    case 'inCluster': {
      const access = place.kind === 'kubeconfig' ? loadKubeconfig(place.paths) : inClusterAccess(place);
      const source = createKubeClient({ access });
      signal.addEventListener('abort', () => source.close(), { once: true });
      return { source, problems: () => [], document: (path) => source.document(path) };
    }
    default:
      return assertNever(place);
  }
}
