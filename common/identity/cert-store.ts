import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { CertificateAuthority, CertificateStore } from './types.ts';

export interface CertificateStoreOptions {
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 to 1, for jitter. Default Math.random. */
  readonly random?: () => number;
}

export function createCertificateStore(_options: CertificateStoreOptions): CertificateStore {
  throw new Error('being written');
}
