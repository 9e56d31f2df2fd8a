/** The roots as a ClusterTrustBundle (certificates.k8s.io), which pods can mount without a copy in their namespace; where the server has them. */
import { millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { describeError, MeshError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { Kind, KubeObject, KubeSource } from '../../../common/kube/types.ts';

interface TrustBundle extends KubeObject {
  readonly spec?: { readonly signerName?: string; readonly trustBundle?: string };
}

export interface TrustBundleOptions {
  readonly source: KubeSource;
  readonly text: () => string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Servers have one or two of them, the newest first. */
const versions = ['v1', 'v1beta1', 'v1alpha1'] as const;
type Version = (typeof versions)[number];

/** Istio's. */
const signerName = 'istio.io/istiod-ca';
export const trustBundleName = 'istio.io:istiod-ca:root-cert';

export function trustBundleKind(version: Version): Kind<TrustBundle> {
  const plural = 'clustertrustbundles';
  return { group: 'certificates.k8s.io', version, kind: 'ClusterTrustBundle', plural, namespaced: false };
}

/** Ms between two looks at what others may have changed. */
const lookInterval = millis(60_000);

/** Starts; what it gives writes the bundle now. */
export function publishTrustBundle({ source, text, clock, log, signal }: TrustBundleOptions): () => void {
  let changed = new AbortController();
  let failing = false;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      changed = new AbortController();
      try {
        await write(source, text());
        failing = false;
      } catch (e) {
        if (!failing) log.warn('the roots cannot be published as a ClusterTrustBundle', { error: describeError(e) });
        failing = true;
      }
      await sleep(clock, lookInterval, AbortSignal.any([signal, changed.signal]));
    }
  };
  void run();
  return () => changed.abort();
}

/** Not where the server has no such kind. */
async function write(source: KubeSource, trustBundle: string): Promise<void> {
  for (const version of versions) {
    const kind = trustBundleKind(version);
    const present = await source.get(kind, { name: trustBundleName });
    if (present?.spec?.trustBundle === trustBundle) return;
    try {
      if (present !== undefined) {
        await source.patch(kind, { name: trustBundleName }, { spec: { trustBundle } });
        return;
      }
      const metadata = { name: trustBundleName };
      const apiVersion = `certificates.k8s.io/${version}`;
      await source.create(kind, { apiVersion, kind: kind.kind, metadata, spec: { signerName, trustBundle } });
      return;
    } catch (e) {
      if (!(e instanceof MeshError && e.code === 'NOT_FOUND')) throw e;
    }
  }
}
