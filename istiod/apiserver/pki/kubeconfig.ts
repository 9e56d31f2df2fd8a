/** What kubectl needs to reach the server, as a file. Pure. */
import { stringify } from 'yaml';

/** In the data folder. */
export const kubeconfigFile = 'kubeconfig';

export interface KubeconfigOptions {
  /** `https://127.0.0.1:6443`. */
  readonly server: string;
  /** PEM. */
  readonly certificateAuthority: string;
  readonly token: string;
}

export function kubeconfig({ server, certificateAuthority, token }: KubeconfigOptions): string {
  const name = 'aquifer';
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [
      {
        name,
        cluster: { server, 'certificate-authority-data': Buffer.from(certificateAuthority).toString('base64') },
      },
    ],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace: 'default' } }],
  });
}
