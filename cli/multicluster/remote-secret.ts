/** The Secret that names a cluster to others. Pure. */
import { stringify } from 'yaml';
import type { Secret } from '../../common/kube/kinds/core.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { remoteLabel } from '../../istiod/remote/secrets.ts';

export const accountAnnotation = 'kubernetes.io/service-account.name';
export const tokenType = 'kubernetes.io/service-account-token';

export interface ClusterAccess {
  /** The cluster's id. */
  readonly name: string;
  readonly server: string;
  readonly tlsServerName: string | undefined;
  /** PEM. */
  readonly ca: string;
  readonly token: string;
}

/** Of the Secrets one that is for the account. */
export function tokenSecretOf(secrets: readonly Secret[], account: string): Secret | undefined {
  return secrets
    .filter((s) => s.type === tokenType && s.metadata.annotations?.[accountAnnotation] === account)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}

/** undefined: nobody has filled it yet. */
export function tokenIn({ data = {} }: Secret): Pick<ClusterAccess, 'ca' | 'token'> | undefined {
  const [ca, token] = [data['ca.crt'], data['token']];
  if (ca === undefined || token === undefined) return undefined;
  const text = (encoded: string) => Buffer.from(encoded, 'base64').toString('utf8');
  return { ca: text(ca), token: text(token) };
}

/** As istioctl makes it. */
export function remoteSecret(access: ClusterAccess, namespace: string): NewObject {
  const { name } = access;
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: `istio-remote-secret-${name}`,
      namespace,
      labels: { [remoteLabel]: 'true' },
      annotations: { 'networking.istio.io/cluster': name },
    },
    stringData: { [name]: stringify(kubeconfig(access), { lineWidth: 0 }) },
  };
}

function kubeconfig({ name, server, tlsServerName, ca, token }: ClusterAccess): object {
  const cluster = {
    'certificate-authority-data': Buffer.from(ca).toString('base64'),
    server,
    ...(tlsServerName !== undefined && { 'tls-server-name': tlsServerName }),
  };
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
}
