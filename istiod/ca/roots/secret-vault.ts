/** Secret istio-ca-secret, which the replicas of istiod share, with Istio's names for the root that signs and ours besides. */
import { MeshError } from '../../../common/core/errors.ts';
import { secretKind } from '../../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../../common/kube/types.ts';
import { type RootVault, UnusableVault, type VaultContent } from './vault.ts';

const name = 'istio-ca-secret';
const keys = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  nextCertificate: 'aquifer-next-ca-cert.pem',
  nextKey: 'aquifer-next-ca-key.pem',
  previous: 'aquifer-previous-ca-cert.pem',
  since: 'aquifer-since',
  request: 'aquifer-rotation-request',
} as const;

export function createSecretVault(source: KubeSource, namespace: string): RootVault {
  return {
    where: `Secret ${namespace}/${name}`,
    async read() {
      const found = await source.get(secretKind, { namespace, name });
      if (found === undefined) return undefined;
      return { content: parse(found.data ?? {}), version: found.metadata.resourceVersion };
    },
    async create(content) {
      try {
        await source.create(secretKind, {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name, namespace },
          type: 'istio.io/ca-root',
          data: Object.fromEntries(Object.entries(format(content)).filter(([, value]) => value !== null)),
        });
        return true;
      } catch (e) {
        if (e instanceof MeshError && e.code === 'CONFLICT') return false;
        throw e;
      }
    },
    async replace(content, version) {
      try {
        await source.patch(secretKind, { namespace, name }, { data: format(content) }, { resourceVersion: version });
        return true;
      } catch (e) {
        if (e instanceof MeshError && e.code === 'CONFLICT') return false;
        throw e;
      }
    },
  };
}

/** In base64; null takes a key out of the Secret. */
function format(content: VaultContent): Readonly<Record<string, string | null>> {
  const { current, next, previous, since, request } = content;
  const values: Record<string, string | undefined> = {
    [keys.certificate]: current.certificate,
    [keys.key]: current.key,
    [keys.nextCertificate]: next?.certificate,
    [keys.nextKey]: next?.key,
    [keys.previous]: previous,
    [keys.since]: since === undefined ? undefined : new Date(since).toISOString(),
    [keys.request]: request,
  };
  return Object.fromEntries(
    Object.entries(values).map(([k, v]) => [k, v === undefined ? null : Buffer.from(v).toString('base64')]),
  );
}

function parse(data: Readonly<Record<string, string>>): VaultContent {
  const text = (key: string) => {
    const value = data[key];
    return value === undefined || value === '' ? undefined : Buffer.from(value, 'base64').toString();
  };
  const pair = (certificate: string, key: string) => {
    const [c, k] = [text(certificate), text(key)];
    if (c === undefined && k === undefined) return undefined;
    if (c === undefined || k === undefined) throw new UnusableVault(`it has no ${c === undefined ? certificate : key}`);
    return { certificate: c, key: k };
  };
  const current = pair(keys.certificate, keys.key);
  if (current === undefined) throw new UnusableVault(`it has no ${keys.key}`);
  const at = text(keys.since);
  const since = at === undefined ? undefined : Date.parse(at);
  if (Number.isNaN(since)) throw new UnusableVault(`${keys.since} is no time`);
  return {
    current,
    next: pair(keys.nextCertificate, keys.nextKey),
    previous: text(keys.previous),
    since,
    request: text(keys.request),
  };
}
