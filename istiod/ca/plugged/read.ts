/** A CA that an operator plugs in: Secret cacerts, or the folder that it is mounted to, under Istio's names or those of cert-manager. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isCode, readIfPresent } from '../../../common/core/files.ts';
import { secretKind } from '../../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../../common/kube/types.ts';
import { type Issuer, readIssuer } from '../issuer.ts';
import { distinct, rootsIn, type TrustedRoot } from '../trust.ts';

/** Text by the name of a file, or of a key of the Secret. */
export type PluggedFiles = Readonly<Record<string, string>>;

export interface PluggedPlace {
  /** For people. */
  readonly where: string;
  /** undefined: nothing is plugged in. MeshError API_UNAVAILABLE; errors of the system. */
  read(): Promise<PluggedFiles | undefined>;
}

const names = ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem', 'ca-crl.pem'] as const;
/** Of a Secret of type kubernetes.io/tls: with it the other names do not count. */
const tlsNames = ['tls.crt', 'tls.key', 'ca.crt'] as const;
const known: readonly string[] = [...names, ...tlsNames];

export function pluggedFolder(dir: string): PluggedPlace {
  return {
    where: dir,
    async read() {
      const present = await readdir(dir).catch((e: unknown) => {
        if (isCode(e, 'ENOENT')) return [];
        throw e;
      });
      const files: Record<string, string> = {};
      for (const name of present.filter((n) => known.includes(n))) {
        const text = await readIfPresent(join(dir, name));
        if (text !== undefined) files[name] = text;
      }
      return holdsKey(files) ? files : undefined;
    },
  };
}

export function pluggedSecret(source: KubeSource, namespace: string): PluggedPlace {
  const name = 'cacerts';
  return {
    where: `Secret ${namespace}/${name}`,
    async read() {
      const found = await source.get(secretKind, { namespace, name });
      if (found === undefined) return undefined;
      const entries = Object.entries(found.data ?? {}).filter(([key]) => known.includes(key));
      return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
    },
  };
}

function holdsKey(files: PluggedFiles): boolean {
  return 'ca-key.pem' in files || 'tls.key' in files;
}

export interface Plugged {
  readonly issuer: Issuer;
  /** The issuer's own first. */
  readonly roots: readonly TrustedRoot[];
  /** PEM: what the CA has revoked. */
  readonly revoked: string | undefined;
}

/** UnusableIssuer. */
export async function parsePlugged(files: PluggedFiles, now: number): Promise<Plugged> {
  const text = (name: string) => files[name] ?? '';
  const tls = 'tls.key' in files && !('ca-key.pem' in files);
  const pem = tls
    ? { key: text('tls.key'), certificate: text('tls.crt'), chain: text('tls.crt'), roots: text('ca.crt') }
    : {
        key: text('ca-key.pem'),
        certificate: text('ca-cert.pem'),
        chain: text('cert-chain.pem'),
        roots: text('root-cert.pem'),
      };
  const issuer = await readIssuer(pem, now);
  const revoked = text('ca-crl.pem').trim() === '' ? undefined : text('ca-crl.pem');
  return { issuer, roots: distinct([issuer.root, ...rootsIn(pem.roots)]), revoked };
}
