/**
 * Registration authority through Kubernetes: a CertificateSigningRequest for a signer that somebody serves (EXTERNAL_CA=
 * ISTIOD_RA_KUBERNETES_API, K8S_SIGNER), approved by istiod, which has checked who asks.
 */
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '../../../common/identity/x509.ts';
import type { Kind, KubeObject, KubeSource } from '../../../common/kube/types.ts';
import type { ExternalRoots } from './external-roots.ts';
import { readChain, requireOnlyName } from './foreign.ts';
import type { Signer } from './signer.ts';

export interface KubernetesSignerOptions {
  readonly source: KubeSource;
  /** `example.com/mesh`. */
  readonly signerName: string;
  readonly roots: ExternalRoots;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

interface SigningRequest extends KubeObject {
  readonly status?: {
    /** PEM in base64. */
    readonly certificate?: string;
    readonly conditions?: readonly { readonly type: string; readonly reason?: string; readonly message?: string }[];
  };
}

export const signingRequestKind: Kind<SigningRequest> = {
  group: 'certificates.k8s.io',
  version: 'v1',
  kind: 'CertificateSigningRequest',
  plural: 'certificatesigningrequests',
  namespaced: false,
};

/** Ms; node proxies wait 10 s for theirs. */
const patience = 9_000;
const firstLook = 50;
const longestLook = 500;
/** Seconds: less is refused by Kubernetes. */
const shortest = 600;
const curve = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export function createKubernetesSigner(options: KubernetesSignerOptions): Signer {
  const { roots } = options;
  return {
    async sign({ csr, identity, ttlMs }) {
      requireOnlyName(csr, identity);
      return readChain([await obtain(options, csr, ttlMs, 'workload')], roots.current());
    },
    async serving({ dns, ips, ttlMs }) {
      const keys = await webcrypto.subtle.generateKey(curve, true, ['sign', 'verify']);
      const names = [
        ...dns.map((value) => ({ type: 'dns' as const, value })),
        ...ips.map((value) => ({ type: 'ip' as const, value })),
      ];
      const extensions = [new SubjectAlternativeNameExtension(names, true)];
      const request = { keys, signingAlgorithm: curve, extensions };
      const csr = await Pkcs10CertificateRequestGenerator.create(request, webcrypto as Crypto);
      const { chain } = readChain([await obtain(options, csr.toString('pem'), ttlMs, 'istiod')], roots.current());
      return {
        key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
        chain: chain.join(''),
      };
    },
    roots: () => roots.current(),
    expiry: () => undefined,
    onChange: (listener) => roots.onChange(listener),
  };
}

/** PEM. */
async function obtain(
  { source, signerName, clock, log, signal }: KubernetesSignerOptions,
  csr: string,
  ttlMs: number,
  purpose: string,
): Promise<string> {
  const name = `csr-${purpose}-${randomBytes(8).toString('hex')}`;
  await source.create(signingRequestKind, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: {
      request: Buffer.from(csr).toString('base64'),
      signerName,
      usages: ['digital signature', 'key encipherment', 'server auth', 'client auth'],
      expirationSeconds: Math.max(shortest, Math.ceil(ttlMs / 1000)),
    },
  });
  try {
    const message = 'istiod has checked that who asks may have this identity';
    const approved = { type: 'Approved', status: 'True', reason: 'ApprovedByIstiod', message };
    await source.patch(
      signingRequestKind,
      { name },
      { status: { conditions: [approved] } },
      { subresource: 'approval' },
    );
    const end = clock.now() + patience;
    for (let delay = firstLook; clock.now() < end; delay = Math.min(delay * 2, longestLook)) {
      await sleep(clock, millis(delay), signal);
      signal.throwIfAborted();
      const { certificate, conditions = [] } = (await source.get(signingRequestKind, { name }))?.status ?? {};
      if (certificate !== undefined && certificate !== '') return Buffer.from(certificate, 'base64').toString();
      const no = conditions.find((c) => c.type === 'Denied' || c.type === 'Failed');
      if (no !== undefined) throw new Error(`signer ${signerName}: ${no.type}, ${no.reason ?? ''} ${no.message ?? ''}`);
    }
    throw new Error(`signer ${signerName} did not answer ${name} within ${patience / 1000} s`);
  } finally {
    await source
      .delete(signingRequestKind, { name })
      .catch((e: unknown) => log.debug('a signing request is left behind', { name, error: describeError(e) }));
  }
}
