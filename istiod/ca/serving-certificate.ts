/** The certificate of istiod's own TLS port, from its own CA, renewed at half its life. */
import { KeyObject, webcrypto } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { signServing } from './authority.ts';
import type { Issuer } from './issuer.ts';

/** Ms. */
const lifetime = 24 * 3_600_000;
const retryDelay = millis(10_000);
/** Timers do not notice that the machine slept or that its clock was set. */
const lookInterval = millis(5_000);

export interface ServingOptions {
  readonly root: Issuer;
  /** Where istiod runs: `istio-system`. */
  readonly namespace: string;
  /** `cluster.local`. */
  readonly domain: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export function servingNames(namespace: string, domain: string): readonly string[] {
  return [`istiod.${namespace}.svc`, `istiod.${namespace}.svc.${domain}`, `istiod.${namespace}`, 'localhost'];
}

/** Asks clients for a certificate but does not insist: node proxies come with tokens. */
export async function createServingCredentials(options: ServingOptions): Promise<ServerCredentials> {
  const credentials = new RenewedCredentials(await issue(options));
  void renew(credentials, options);
  return credentials;
}

async function renew(credentials: RenewedCredentials, options: ServingOptions): Promise<void> {
  const { clock, log, signal } = options;
  let issuedAt = clock.wall();
  let delay = lookInterval;
  while (!signal.aborted) {
    await sleep(clock, delay, signal);
    if (signal.aborted) return;
    const age = clock.wall() - issuedAt;
    if (age >= 0 && age < lifetime / 2) continue;
    try {
      credentials.renew(await issue(options));
      issuedAt = clock.wall();
      delay = lookInterval;
    } catch (e) {
      log.error('cannot renew the certificate of the TLS port', { error: describeError(e), retry_ms: retryDelay });
      delay = retryDelay;
    }
  }
}

async function issue({ root, namespace, domain, clock }: ServingOptions): Promise<SecureContextOptions> {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const names = servingNames(namespace, domain);
  const leaf = await signServing(root, keys.publicKey, names, ['127.0.0.1', '::1'], lifetime, clock);
  return {
    key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: `${leaf}${root.pem}`,
    ca: root.pem,
    minVersion: 'TLSv1.2',
  };
}

class RenewedCredentials extends ServerCredentials {
  constructor(context: SecureContextOptions) {
    super({ requestCert: true, rejectUnauthorized: false }, context);
  }

  renew(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context);
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
