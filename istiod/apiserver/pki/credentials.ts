/** The server's own CA and certificate, and the administrator's token, kept in the data folder. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { readIfPresent, replaceDurably } from '../../../common/core/files.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { Issuer } from '../../ca/issuer.ts';
import { type Serving, stillGood } from './kept.ts';
import type { Made, Making } from './make-worker.ts';

export interface CertificateAuthority {
  /** PEM. */
  readonly pem: string;
  /** What signs: read from the data folder when it is asked for first, together with the library. MeshError CONFIG. */
  issuer(): Promise<Issuer>;
}

export interface Credentials {
  readonly certificateAuthority: CertificateAuthority;
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  readonly adminToken: string;
}

export interface CredentialsOptions {
  readonly dataDir: string;
  /** Addresses by which clients reach the server, besides loopback. */
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

const names = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  'localhost',
];
const servingFile = 'serving.pem';
const trustDomain = 'kubernetes';

/** MeshError CONFIG. The serving certificate is made anew when the machine's addresses are others, and in time. */
export async function loadCredentials({ dataDir, addresses, clock, log }: CredentialsOptions): Promise<Credentials> {
  const folder = join(dataDir, 'pki');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const ips = [...new Set(['127.0.0.1', '::1', ...addresses])];
  const wanted = { names, ips, now: clock.wall() };
  const [root, serving, adminToken] = await Promise.all([
    readIfPresent(join(folder, 'ca.pem')),
    readIfPresent(join(folder, servingFile)),
    tokenIn(join(folder, 'admin-token')),
  ]);
  const { authority, key, certificate } =
    stillGood({ root, serving }, wanted) ?? (await make({ folder, servingFile, trustDomain, ...wanted }, log));
  let signer: Promise<Issuer> | undefined;
  const load = async (): Promise<Issuer> => {
    const { loadOrCreateRoot } = await import('../../ca/root-store.ts');
    return loadOrCreateRoot({ dataDir: folder, trustDomain, clock, log, published: authority });
  };
  return {
    certificateAuthority: {
      pem: authority,
      issuer() {
        signer ??= load();
        return signer;
      },
    },
    key,
    certificate,
    adminToken,
  };
}

async function make(making: Making, log: Logger): Promise<Serving> {
  const worker = new Worker(new URL('./make-worker.ts', import.meta.url), { workerData: making });
  const [made] = (await once(worker, 'message')) as [Made];
  await worker.terminate();
  if (made.kind === 'failed') throw new MeshError('CONFIG', made.reason);
  for (const { message, fields } of made.said) log.info(message, fields);
  return made.serving;
}

async function tokenIn(path: string): Promise<string> {
  const present = (await readIfPresent(path))?.trim();
  if (present !== undefined && present !== '') return present;
  const token = randomBytes(32).toString('base64url');
  await replaceDurably(path, token);
  return token;
}
