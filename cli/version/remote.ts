/** Versions of what runs in a cluster. */
import type { Settings } from '../../common/config/reader.ts';
import { withCluster } from '../access/cluster.ts';
import { askIstiods } from '../access/istiods.ts';
import type { ConnectionValues } from '../connection-options.ts';
import type { RemoteVersions } from './run.ts';

/** MeshError. */
export async function remoteVersions(
  values: ConnectionValues & { readonly revision?: string | undefined },
  env: Settings,
): Promise<RemoteVersions> {
  return withCluster(values, env, async (cluster) => {
    const planes = await askIstiods(cluster, '/version', values.revision);
    const proxies = await askIstiods(cluster, '/debug/syncz', values.revision);
    return {
      meshVersion: planes.map(({ revision: Revision, body }) => ({
        Component: 'istiod',
        Revision,
        Info: buildOf(body),
      })),
      dataPlaneVersion: proxies.flatMap(({ body }) =>
        (JSON.parse(body) as readonly { proxy: string; istio_version: string }[]).map((p) => ({
          ID: p.proxy,
          IstioVersion: p.istio_version,
        })),
      ),
    };
  });
}

/** `VERSION-REVISION-STATUS`, whose version may have hyphens itself. */
function buildOf(text: string): { readonly version: string; readonly revision: string } {
  const parts = text.trim().split('-');
  if (parts.length < 3) return { version: text.trim(), revision: 'unknown' };
  return { version: parts.slice(0, -2).join('-'), revision: parts.at(-2)! };
}
