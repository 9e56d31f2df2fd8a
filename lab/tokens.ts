/** The lab's issuer of ServiceAccount tokens (ES256), in the shape of Kubernetes' projected tokens. */
import { chown, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { MeshError } from '../common/core/errors.ts';

export const issuerUrl = 'https://aquifer.lab';
export const jwksFile = 'jwks.json';
const keyFile = 'key.json';
const keyId = 'lab';

export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: { readonly name: string; readonly uid: string };
  readonly pod: { readonly name: string; readonly uid: string };
  readonly node: { readonly name: string; readonly uid: string };
}

export interface TokenIssuer {
  /** Default audience: the issuer. `seconds` from `now` (ms since the epoch). */
  issue(subject: TokenSubject, seconds: number, audience: string | undefined, now: number): Promise<string>;
}

/** Makes the key and the JWKS file in `folder`, or takes the key that is there. MeshError CONFIG when it is damaged. */
export async function openIssuer(folder: string): Promise<TokenIssuer> {
  const jwk = (await readKey(join(folder, keyFile))) ?? (await makeKey(folder));
  const key = await importJWK(jwk, 'ES256');
  return {
    issue: (subject, seconds, audience, now) => {
      const at = Math.floor(now / 1000);
      return new SignJWT({
        'kubernetes.io': {
          namespace: subject.namespace,
          serviceaccount: subject.serviceAccount,
          pod: subject.pod,
          node: subject.node,
        },
      })
        .setProtectedHeader({ alg: 'ES256', kid: keyId })
        .setIssuer(issuerUrl)
        .setSubject(`system:serviceaccount:${subject.namespace}:${subject.serviceAccount.name}`)
        .setAudience([audience ?? issuerUrl])
        .setIssuedAt(at)
        .setNotBefore(at)
        .setExpirationTime(at + seconds)
        .sign(key);
    },
  };
}

async function makeKey(folder: string): Promise<JWK> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(privateKey);
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: keyId, alg: 'ES256', use: 'sig' }] };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, jwksFile), `${JSON.stringify(jwks)}\n`);
  await writeFile(join(folder, keyFile), `${JSON.stringify(jwk)}\n`, { mode: 0o600 });
  return jwk;
}

async function readKey(path: string): Promise<JWK | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as JWK;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new MeshError('CONFIG', `${path} holds no key; take the lab down and up again`, { cause: e });
  }
}

/** Readers see the old or the new content, never a part. */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  { mode = 0o644, uid }: { readonly mode?: number; readonly uid?: number } = {},
): Promise<void> {
  await writeFile(`${path}.new`, content, { mode });
  if (uid !== undefined) await chown(`${path}.new`, uid, 0);
  await rename(`${path}.new`, path);
}
