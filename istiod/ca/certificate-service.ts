/** istio.v1.auth.IstioCertificateService (ambient-wire 4): who asks, whom it may be, the signature, and a line about each. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { type ServerErrorResponse, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import {
  type Encodable,
  type PbCertificateRequest,
  type PbCertificateResponse,
  stringField,
} from '../../common/api/index.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { formatSpiffe, parseSpiffe } from '../../common/identity/spiffe.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { WorkloadEntry } from '../../common/kube/kinds/istio/workload-entry.ts';
import type { Identity } from '../../common/mesh/types.ts';
import { readLeaf } from '../../common/tls/leaf.ts';
import type { Authenticator } from '../authenticator.ts';
import { type Caller, opaqueRefusal, Unauthenticated } from '../caller.ts';
import { type Asked, auditFailed, auditIssued, auditRefused } from './audit.ts';
import { BadRequest, type VerifiedCsr, verifyCsr } from './authority.ts';
import type { CaMetrics } from './metrics.ts';
import { authorizeImpersonation, boundPod, isMachine } from './node-authorization.ts';
import type { Signed, Signer } from './signers/signer.ts';
import { bundleOf } from './trust.ts';

export interface Issued {
  readonly caller: Caller;
  readonly identity: Identity;
  readonly impersonated: boolean;
  readonly leaf: X509Certificate;
  readonly signed: Signed;
}

export interface CertificateServiceOptions {
  readonly signer: Signer;
  readonly authenticate: Authenticator;
  readonly trustDomain: string;
  readonly trustedAccounts: ReadonlySet<string>;
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, Pod>;
  /** Machines that are no pods, by `namespace/name`. */
  readonly entries: ReadonlyMap<string, WorkloadEntry>;
  /** Ms. */
  readonly defaultTtl: number;
  /** Ms; a request for more is an error. */
  readonly maxTtl: number;
  /** Of the audit. */
  readonly log: Logger;
  readonly metrics: CaMetrics;
  /** Before the answer goes out. */
  readonly onIssued: (issued: Issued) => void;
}

type Call = Pick<ServerUnaryCall<PbCertificateRequest, unknown>, 'metadata' | 'getAuthContext' | 'getPeer' | 'request'>;

export function createCertificateHandler(options: CertificateServiceOptions) {
  const { log, metrics } = options;
  return (call: Call, callback: sendUnaryData<Encodable<PbCertificateResponse>>): void => {
    metrics.csr.inc();
    const asked: Asked = { peer: call.getPeer() };
    issue(options, call, asked).then(
      (response) => {
        metrics.issued.inc();
        callback(null, response);
      },
      (e: unknown) => {
        if (e instanceof Unauthenticated) {
          metrics.authenticationFailures.inc();
          auditRefused(log, asked, e.message);
          callback(opaqueRefusal as ServerErrorResponse);
        } else if (e instanceof BadRequest) {
          metrics.badRequests.inc();
          auditRefused(log, asked, e.message);
          callback({ code: status.INVALID_ARGUMENT, details: e.message });
        } else {
          metrics.signErrors.inc();
          auditFailed(log, asked, describeError(e));
          callback({ code: status.UNAVAILABLE, details: 'signing failed; the log of istiod says why' });
        }
      },
    );
  };
}

async function issue(
  options: CertificateServiceOptions,
  call: Call,
  asked: Asked,
): Promise<Encodable<PbCertificateResponse>> {
  const { signer, pods, log } = options;
  const caller = await options.authenticate(call.metadata, call.getAuthContext());
  asked.caller = caller;
  if (caller.pod !== undefined) asked.node = pods.get(`${caller.namespace}/${caller.pod.name}`)?.spec.nodeName;
  asked.impersonated = stringField(call.request.metadata, 'ImpersonatedIdentity');
  const identity = identityFor(options, caller, asked.impersonated);
  asked.identity = identity;
  const { csr } = call.request;
  const ttlMs = ttlOf(Number(call.request.validityDuration), options);
  const key = await verifyCsr(csr);
  const impersonated = asked.impersonated !== undefined;
  const signed = await signer.sign({ csr, key, identity, ttlMs, call: call.metadata, impersonated });
  const leaf = checkedLeaf(signed, identity, key);
  options.onIssued({ caller, identity, impersonated, leaf, signed });
  auditIssued(log, asked, leaf);
  return { certChain: [...signed.chain, bundleOf(signed.roots)] };
}

/** Whoever signed: what goes out is for this identity alone, and for the key of the request. */
function checkedLeaf({ chain }: Signed, identity: Identity, key: VerifiedCsr): X509Certificate {
  const leaf = new X509Certificate(chain[0] ?? '');
  const { names } = readLeaf(leaf.raw);
  const wanted = formatSpiffe(identity);
  if (names.length !== 1 || names[0] !== `url:${wanted}`)
    throw new Error(`the signer gave a certificate for ${names.join(' and ') || 'nobody'} instead of ${wanted}`);
  if (leaf.ca) throw new Error('the signer gave a certificate that may sign others');
  const asked = createPublicKey({ key: Buffer.from(key.rawData), type: 'spki', format: 'der' });
  if (!leaf.publicKey.equals(asked)) throw new Error('the signer gave a certificate for another key');
  return leaf;
}

function identityFor(options: CertificateServiceOptions, caller: Caller, impersonated: string | undefined): Identity {
  const { pods, entries, trustDomain, trustedAccounts, metrics } = options;
  const own = `${caller.namespace}/${caller.serviceAccount}`;
  if (impersonated === undefined) {
    if (caller.pod === undefined) {
      const reason = 'a certificate was shown, and no WorkloadEntry has its service account';
      if (!isMachine(caller, entries)) throw new Unauthenticated(`${own}: ${reason}`);
    } else {
      const bound = boundPod(caller, pods);
      if (bound.kind === 'refuse') throw new Unauthenticated(`${own}: ${bound.reason}`);
    }
    const identity = { trustDomain, namespace: caller.namespace, serviceAccount: caller.serviceAccount };
    if (parseSpiffe(formatSpiffe(identity)) === undefined) throw unreadable(metrics, own, formatSpiffe(identity));
    return identity;
  }
  const requested = parseSpiffe(impersonated);
  if (requested === undefined) throw unreadable(metrics, own, impersonated);
  const decision = authorizeImpersonation({ caller, requested, trustDomain, trustedAccounts, pods });
  if (decision.kind === 'refuse') throw new Unauthenticated(`${own} asked for ${impersonated}: ${decision.reason}`);
  return requested;
}

function unreadable(metrics: CaMetrics, who: string, text: string): Unauthenticated {
  metrics.unreadableIdentities.inc();
  return new Unauthenticated(`${who} asked for ${JSON.stringify(text)}, no SPIFFE id`);
}

function ttlOf(seconds: number, { defaultTtl, maxTtl }: CertificateServiceOptions): number {
  if (!(seconds > 0)) return defaultTtl;
  if (seconds * 1000 <= maxTtl) return seconds * 1000;
  throw new BadRequest(`validity_duration ${seconds} s is more than the ${maxTtl / 1000} s of MAX_WORKLOAD_CERT_TTL`);
}
