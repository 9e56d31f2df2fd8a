/** The certificate of istiod's own TLS port, from its own CA, renewed at half its life. */
import { readFile } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { defaultTls, type TlsSettings, tlsOptions } from '../flags/tls.ts';
import type { Signer } from './signers/signer.ts';
import { bundleOf } from './trust.ts';

/** Ms. */
const lifetime = 24 * 3_600_000;
const retryDelay = millis(10_000);
/** Timers do not notice that the machine slept or that its clock was set. */
const lookInterval = millis(5_000);

export interface ServingOptions {
  readonly signer: Signer;
  /** Where istiod runs: `istio-system`. */
  readonly namespace: string;
  /** `cluster.local`. */
  readonly domain: string;
  /** Services before it, as they are now. */
  readonly services: () => readonly string[];
  /** Calls back when those may be others. */
  readonly onServices: (changed: () => void) => void;
  /** Default `defaultTls`. */
  readonly tls?: TlsSettings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export function servingNames(services: readonly string[], namespace: string, domain: string): readonly string[] {
  const names = services.flatMap((service) => [
    `${service}.${namespace}.svc`,
    `${service}.${namespace}.svc.${domain}`,
    `${service}.${namespace}`,
  ]);
  return [...names, 'localhost'];
}

/** Asks clients for a certificate but does not insist: node proxies come with tokens. */
export async function createServingCredentials(options: ServingOptions): Promise<ServerCredentials> {
  let credentials: RenewedCredentials | undefined;
  const context = await keepServingContext(options, (next) => credentials?.renew(next));
  credentials = new RenewedCredentials(context);
  return credentials;
}

/** The first one; the next ones are handed to `renewed`. */
export async function keepServingContext(
  options: ServingOptions,
  renewed: (context: SecureContextOptions) => void,
): Promise<SecureContextOptions> {
  const context = await issue(options);
  void renew(renewed, options);
  return context;
}

/** At half its life, and as soon as the roots, the signer or the names changed. */
async function renew(renewed: (context: SecureContextOptions) => void, options: ServingOptions): Promise<void> {
  const { signer, clock, log, signal, services, onServices } = options;
  let issuedAt = clock.wall();
  let delay = lookInterval;
  let changed = new AbortController();
  signer.onChange(() => changed.abort());
  let named = services().join();
  onServices(() => {
    const now = services().join();
    if (now !== named) changed.abort();
    named = now;
  });
  while (!signal.aborted) {
    await sleep(clock, delay, AbortSignal.any([signal, changed.signal]));
    if (signal.aborted) return;
    const age = clock.wall() - issuedAt;
    if (!changed.signal.aborted && age >= 0 && age < lifetime / 2) continue;
    changed = new AbortController();
    try {
      renewed(await issue(options));
      issuedAt = clock.wall();
      delay = lookInterval;
    } catch (e) {
      log.error('cannot renew the certificate of the TLS port', { error: describeError(e), retry_ms: retryDelay });
      issuedAt = millis(0);
      delay = retryDelay;
    }
  }
}

async function issue(options: ServingOptions): Promise<SecureContextOptions> {
  const { signer, services, namespace, domain, tls = defaultTls } = options;
  const dns = servingNames(services(), namespace, domain);
  const { key, chain } = await signer.serving({ dns, ips: ['127.0.0.1', '::1'], ttlMs: lifetime });
  const ca = tls.clientRoots === undefined ? bundleOf(signer.roots()) : await clientRootsIn(tls.clientRoots);
  return { key, cert: chain, ca, ...tlsOptions(tls) };
}

async function clientRootsIn(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (e) {
    throw new MeshError('CONFIG', `--caCertFile=${path} cannot be read: ${describeError(e)}`, { cause: e });
  }
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
