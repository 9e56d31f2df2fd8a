/** Where an API server is and who asks: what a kubeconfig, or a pod's own files, come down to. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeError, MeshError } from '../../core/errors.ts';
import type { ExecPlugin } from './exec/exec-credentials.ts';

export interface ApiAccess {
  /** `https://10.96.0.1:443`, perhaps with a path; `http:` only where somebody wrote so. */
  readonly server: URL;
  /** What is trusted. undefined: what Node trusts. */
  readonly ca: string | undefined;
  /** Accepts any certificate. */
  readonly insecure: boolean;
  /** The name in the server's certificate where it is not the one in `server`. */
  readonly serverName: string | undefined;
  /** Through which the server is reached: `http://` or `https://`. */
  readonly proxy: URL | undefined;
  readonly credentials: Credentials;
  /** As whom the server is asked to act; it must be allowed to. undefined: as whoever shows the credentials. */
  readonly impersonate: Impersonation | undefined;
  /** Where objects without a namespace go. */
  readonly namespace: string;
}

/** kubernetes.io/docs/reference/access-authn-authz/authentication: user impersonation. */
export interface Impersonation {
  readonly user: string;
  /** Empty: those of the user as the server knows it. */
  readonly groups: readonly string[];
  readonly uid: string | undefined;
}

export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  /** Read again from time to time: who wrote it replaces it before it expires. */
  | { readonly kind: 'tokenFile'; readonly path: string }
  /** A program is asked, again when what it gave expires or is refused. */
  | { readonly kind: 'exec'; readonly plugin: ExecPlugin }
  /** PEM. */
  | { readonly kind: 'certificate'; readonly certificate: string; readonly key: string };

export const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface InClusterPlace {
  /** KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. */
  readonly host: string;
  readonly port: string;
  readonly folder?: string;
}

/** As a pod's service account. MeshError CONFIG when a file is missing. */
export function inClusterAccess({ host, port, folder = serviceAccountFolder }: InClusterPlace): ApiAccess {
  const path = join(folder, 'token');
  readText(path, 'the token of the service account');
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    ca: readText(join(folder, 'ca.crt'), "the API server's CA"),
    insecure: false,
    serverName: undefined,
    proxy: undefined,
    credentials: { kind: 'tokenFile', path },
    impersonate: undefined,
    namespace: readText(join(folder, 'namespace'), "the pod's namespace").trim(),
  };
}

export function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (e) {
    throw new MeshError('CONFIG', `cannot read ${what}: ${describeError(e)}`, { cause: e });
  }
}
