/**
 * Where the key of a self-signed CA is kept: one place, changed as a whole. While a root is replaced it also holds the next one, and
 * then the certificate of the one before (istiod/ca/rotation).
 */
import type { RootPem } from '../self-signed.ts';

export interface VaultContent {
  /** Signs. */
  readonly current: RootPem;
  /** Trusted, and signs once every proxy trusts it. */
  readonly next?: RootPem | undefined;
  /** PEM; trusted until what it signed has ended. */
  readonly previous?: string | undefined;
  /** Ms since the epoch: when `next` was made, or when `current` began to sign in the place of `previous`. */
  readonly since?: number | undefined;
  /** Which request for a new root was the last to be begun. */
  readonly request?: string | undefined;
}

export interface Stored {
  readonly content: VaultContent;
  /** Opaque; for `replace`. */
  readonly version: string;
}

export interface RootVault {
  /** For people: a path, or the name of an object. */
  readonly where: string;
  /** undefined: nothing is kept there yet. MeshError API_UNAVAILABLE when it cannot be read now; UnusableVault. */
  read(): Promise<Stored | undefined>;
  /** Where nothing was; false: somebody else was quicker. */
  create(content: VaultContent): Promise<boolean>;
  /** false: it is not that version any more. */
  replace(content: VaultContent, version: string): Promise<boolean>;
}

/** What stands there is not what a vault holds; the message goes behind the name of the place. */
export class UnusableVault extends Error {}
