/** What kubectl needs to reach the server, as a file. Pure. */

/** In the data folder. */
export const kubeconfigFile = 'kubeconfig';

export interface KubeconfigOptions {
  /** `https://127.0.0.1:6443`. */
  readonly server: string;
  /** PEM. */
  readonly certificateAuthority: string;
  readonly token: string;
}

/** YAML, for people to read; scalars in quotes, as JSON writes them. */
export function kubeconfig({ server, certificateAuthority, token }: KubeconfigOptions): string {
  const authority = Buffer.from(certificateAuthority).toString('base64');
  return `apiVersion: v1
kind: Config
current-context: aquifer
clusters:
  - name: aquifer
    cluster:
      server: ${JSON.stringify(server)}
      certificate-authority-data: ${JSON.stringify(authority)}
users:
  - name: aquifer
    user:
      token: ${JSON.stringify(token)}
contexts:
  - name: aquifer
    context:
      cluster: aquifer
      user: aquifer
      namespace: default
`;
}
