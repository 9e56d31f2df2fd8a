/** The root that a vault holds, made when it holds none. */
import type { Clock } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { type Issuer, readIssuer, UnusableIssuer } from '../issuer.ts';
import { makeRoot } from '../self-signed.ts';
import type { Issuing } from '../signers/local.ts';
import { rootsIn } from '../trust.ts';
import { type RootVault, type Stored, UnusableVault, type VaultContent } from './vault.ts';

export interface OpenRootOptions {
  readonly vault: RootVault;
  /** Becomes the organization in the name of a new root. */
  readonly trustDomain: string;
  /** Ms that a new root is valid. */
  readonly lifetime: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** What the mesh trusts so far; undefined when that is nothing. */
  readonly published: () => Promise<string | undefined>;
}

export interface OpenRoot extends Issuing {
  readonly stored: Stored;
}

/**
 * MeshError CONFIG, with place and remedy, when what is there is no usable root, and when nothing is there although the mesh trusts a
 * root; API_UNAVAILABLE.
 */
export async function openRoot(options: OpenRootOptions): Promise<OpenRoot> {
  const { vault, clock } = options;
  const stored = await explained(vault, async () => (await vault.read()) ?? (await create(options)));
  return { stored, ...(await explained(vault, () => issuingOf(stored.content, clock))) };
}

/** UnusableIssuer. */
export async function issuingOf({ current, next, previous }: VaultContent, clock: Clock): Promise<Issuing> {
  const read = (pem: { readonly key: string; readonly certificate: string }): Promise<Issuer> =>
    readIssuer({ ...pem, chain: '', roots: pem.certificate }, clock.wall());
  const issuer = await read(current);
  const upcoming = next === undefined ? [] : [(await read(next)).root];
  return { issuer, roots: [issuer.root, ...upcoming, ...rootsIn(previous ?? '')] };
}

/** What is kept now, which may be another process's. */
async function create({ vault, trustDomain, lifetime, clock, log, published }: OpenRootOptions): Promise<Stored> {
  if ((await published()) !== undefined) {
    // Another istiod may have made one, and published it, since we looked.
    const stored = await vault.read();
    if (stored !== undefined) return stored;
    throw new MeshError(
      'CONFIG',
      `there is no root of the CA in ${vault.where}, but the mesh trusts one: it is published as ConfigMap istio-ca-root-cert. ` +
        'Restore it from a backup. Only if there is none: delete that ConfigMap in the namespace of istiod to start with a new ' +
        'root; every workload then needs a new certificate and every client the new root',
    );
  }
  if (await vault.create({ current: await makeRoot(trustDomain, clock, lifetime) }))
    log.info('made a new root: nothing signed by another one is trusted', { place: vault.where });
  const stored = await vault.read();
  if (stored === undefined) throw new UnusableVault('it was taken away just after it was made');
  return stored;
}

async function explained<T>(vault: RootVault, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (e) {
    if (!(e instanceof UnusableIssuer || e instanceof UnusableVault)) throw e;
    throw new MeshError(
      'CONFIG',
      `${vault.where} is not a usable root of the CA: ${e.message}. Restore it from a backup. Only if there is none: remove it to ` +
        'start with a new root; every workload then needs a new certificate and every client the new root',
      { cause: e },
    );
  }
}
