/** What requests name: apart from the signing itself, whose library only those load who ask for a certificate. */
export interface SigningSpec {
  /** PEM in base64. */
  readonly request: string;
  readonly signerName: string;
  readonly usages?: readonly string[];
  readonly expirationSeconds?: number;
}

interface Signer {
  readonly needs: 'client auth' | 'server auth';
  /** Of a node, CN system:node:NAME and O system:nodes alone. */
  readonly ofNode: boolean;
}

export const signers: ReadonlyMap<string, Signer> = new Map([
  ['kubernetes.io/kube-apiserver-client', { needs: 'client auth', ofNode: false }],
  ['kubernetes.io/kube-apiserver-client-kubelet', { needs: 'client auth', ofNode: true }],
  ['kubernetes.io/kubelet-serving', { needs: 'server auth', ofNode: true }],
]);

export function isOurs(signerName: string): boolean {
  return signers.has(signerName);
}

export function pemOf({ request }: SigningSpec): string {
  return Buffer.from(request, 'base64').toString();
}
