/** The certificate service as the TLS port calls it, without the port: real tokens, real keys, pods by hand. Only for tests. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Registry } from 'prom-client';
import type { PbCertificateRequest } from '../../../common/api/index.ts';
import { systemClock } from '../../../common/core/clock.ts';
import { createLogger, LogLevels } from '../../../common/core/log.ts';
import type { Pod } from '../../../common/kube/kinds/core.ts';
import type { WorkloadEntry } from '../../../common/kube/kinds/istio/workload-entry.ts';
import { createAuthenticator } from '../../authenticator.ts';
import { createCertificateHandler, type Issued } from '../certificate-service.ts';
import { readIssuer } from '../issuer.ts';
import { createCaMetrics } from '../metrics.ts';
import { createLocalSigner, unchanging } from '../signers/local.ts';
import type { Signer } from '../signers/signer.ts';
import { createJwksReviewer, issuerInFile } from '../tokens/jwks.ts';
import { makeAuthority } from './authorities.ts';

export interface TestToken {
  readonly namespace?: string;
  readonly account?: string;
  /** null: bound to none. */
  readonly pod?: { readonly name: string; readonly uid: string } | null;
  readonly audience?: string;
  readonly issuer?: string;
  /** Seconds from now. */
  readonly expiresIn?: number;
  readonly key?: CryptoKey;
}

export interface Asking {
  /** undefined: no authorization header. */
  readonly token?: string | undefined;
  readonly csr: string;
  readonly impersonate?: unknown;
  readonly seconds?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** As grpc-js tells them: of a certificate that chains to a root of ours. */
  readonly clientNames?: string;
  /** Until when that certificate holds; default: long. */
  readonly clientUntil?: string;
}

export interface TestService {
  readonly pods: Map<string, Pod>;
  readonly entries: Map<string, WorkloadEntry>;
  readonly lines: string[];
  readonly issued: Issued[];
  readonly registry: Registry;
  readonly signer: Signer;
  /** Adds a pod and returns its uid. */
  pod(name: string, account: string, node: string, more?: { phase?: string; uid?: string }): string;
  token(options?: TestToken): Promise<string>;
  /** The chain, or the code and text of the refusal. */
  ask(asking: Asking): Promise<readonly string[] | { readonly code: status; readonly details: string }>;
}

const issuer = 'https://issuer.test';

export async function withService(body: (s: TestService) => Promise<void>, external?: Signer): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aq-ca-'));
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const file = join(dir, 'jwks.json');
  await writeFile(file, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] }));
  const authority = await makeAuthority();
  const own = await readIssuer({ ...authority, chain: '', roots: authority.certificate }, Date.now());
  const signer = external ?? createLocalSigner(unchanging({ issuer: own, roots: [own.root] }), systemClock);
  const pods = new Map<string, Pod>();
  const entries = new Map<string, WorkloadEntry>();
  const lines: string[] = [];
  const issued: Issued[] = [];
  const registry = new Registry();
  const reviewer = createJwksReviewer({
    issuer: issuerInFile(file, issuer),
    audiences: ['istio-ca'],
    clock: systemClock,
  });
  const handler = createCertificateHandler({
    signer,
    authenticate: createAuthenticator({
      reviewer,
      clusterId: 'Kubernetes',
      clusterAliases: new Map([['old-name', 'Kubernetes']]),
      trustDomain: 'cluster.local',
      clock: systemClock,
    }),
    trustDomain: 'cluster.local',
    trustedAccounts: new Set(['istio-system/ztunnel']),
    pods,
    entries,
    defaultTtl: 86_400_000,
    maxTtl: 90 * 86_400_000,
    log: createLogger({ levels: new LogLevels('info'), format: 'json', write: (l) => void lines.push(l) }, 'audit'),
    metrics: createCaMetrics(registry, signer, systemClock),
    onIssued: (i) => issued.push(i),
  });
  let uids = 0;
  const service: TestService = {
    pods,
    entries,
    lines,
    issued,
    registry,
    signer,
    pod(name, account, node, { phase = 'Running', uid = `uid-${++uids}` } = {}) {
      const [namespace, serviceAccountName] = account.split('/') as [string, string];
      const metadata = { name, namespace, uid, resourceVersion: '1' };
      const spec = { serviceAccountName, nodeName: node, containers: [] };
      pods.set(`${namespace}/${name}`, { apiVersion: 'v1', kind: 'Pod', metadata, spec, status: { phase } } as Pod);
      return uid;
    },
    token(o = {}) {
      const { namespace = 'istio-system', account = 'ztunnel', pod = { name: 'zt', uid: 'uid-1' } } = o;
      const claims = { namespace, serviceaccount: { name: account, uid: 'x' }, ...(pod !== null && { pod }) };
      return new SignJWT({ 'kubernetes.io': claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setIssuer(o.issuer ?? issuer)
        .setAudience(o.audience ?? 'istio-ca')
        .setSubject(`system:serviceaccount:${namespace}:${account}`)
        .setExpirationTime(Math.floor(Date.now() / 1000) + (o.expiresIn ?? 600))
        .sign(o.key ?? privateKey);
    },
    ask({ token, csr, impersonate, seconds = 0, headers = {}, clientNames, clientUntil = 'Jan  1 00:00:00 2100 GMT' }) {
      const metadata = new Metadata();
      if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      const value = typeof impersonate === 'string' ? { kind: 'stringValue', stringValue: impersonate } : impersonate;
      const fields = impersonate === undefined ? null : { fields: { ImpersonatedIdentity: value } };
      const request = { csr, validityDuration: String(seconds), metadata: fields } as unknown as PbCertificateRequest;
      const certificate = clientNames === undefined ? {} : { subjectaltname: clientNames, valid_to: clientUntil };
      const call = {
        metadata,
        request,
        getPeer: () => '192.0.2.1:1234',
        getAuthContext: () => ({
          transportSecurityType: 'ssl',
          sslPeerCertificate: certificate as ReturnType<TLSSocket['getPeerCertificate']>,
        }),
      };
      return new Promise((resolve) =>
        handler(call, (error, response) => {
          const { code = status.UNKNOWN, details = '' } = (error ?? {}) as Partial<ServiceError>;
          resolve(error ? { code, details } : (response?.certChain ?? []));
        }),
      );
    },
  };
  try {
    await body(service);
  } finally {
    await rm(dir, { recursive: true });
  }
}
