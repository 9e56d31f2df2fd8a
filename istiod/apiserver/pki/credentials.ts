/** The server's own CA and certificate, and the administrator's token, kept in the data folder. */
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../common/core/clock.ts';
import { readIfPresent, syncFolder, unlinkIfPresent, writeDurably } from '../../../common/core/files.ts';
import type { Logger } from '../../../common/core/log.ts';
import { signServing } from '../../ca/authority.ts';
import type { Issuer } from '../../ca/issuer.ts';
import { loadOrCreateRoot } from '../../ca/root-store.ts';

export interface Credentials {
  readonly certificateAuthority: Issuer;
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  readonly adminToken: string;
}

export interface CredentialsOptions {
  readonly dataDir: string;
  /** Names and addresses by which clients reach the server, besides those of this machine. */
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Ms. */
const lifetime = 365 * 86_400_000;
const names = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  'localhost',
];

/** MeshError CONFIG. The serving certificate is made anew at each start. */
export async function loadCredentials({ dataDir, addresses, clock, log }: CredentialsOptions): Promise<Credentials> {
  const folder = join(dataDir, 'pki');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const root = await loadOrCreateRoot({ dataDir: folder, trustDomain: 'kubernetes', clock, log, published: undefined });
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const ips = [...new Set(['127.0.0.1', '::1', ...addresses])];
  return {
    certificateAuthority: root,
    key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
    certificate: await signServing(root, keys.publicKey, names, ips, lifetime, clock),
    adminToken: await tokenIn(join(folder, 'admin-token'), folder),
  };
}

async function tokenIn(path: string, folder: string): Promise<string> {
  const present = (await readIfPresent(path))?.trim();
  if (present !== undefined && present !== '') return present;
  const token = randomBytes(32).toString('base64url');
  await replaceFile(path, token, folder);
  return token;
}

/** The old content or the new one, also after a power cut. */
export async function replaceFile(path: string, text: string, folder: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await unlinkIfPresent(temporary);
  await writeDurably(temporary, text);
  await rename(temporary, path);
  await syncFolder(folder);
}
