/** istio.v1.auth.IstioCertificateService (ambient-wire 4). */
import { type ServerErrorResponse, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import {
  type Encodable,
  type PbCertificateRequest,
  type PbCertificateResponse,
  stringField,
} from '../../common/api/index.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { formatSpiffe, parseSpiffe } from '../../common/identity/spiffe.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { Identity } from '../../common/mesh/types.ts';
import type { Authenticator } from '../authenticator.ts';
import { type Caller, opaqueRefusal, Unauthenticated } from '../caller.ts';
import type { CaMetrics } from '../metrics.ts';
import { BadRequest, signWorkload, verifyCsr } from './authority.ts';
import type { Issuer } from './issuer.ts';
import { authorizeImpersonation, boundPod } from './node-authorization.ts';

export interface CertificateServiceOptions {
  readonly root: Issuer;
  readonly authenticate: Authenticator;
  readonly trustDomain: string;
  readonly trustedAccounts: ReadonlySet<string>;
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, Pod>;
  /** Ms. */
  readonly defaultTtl: number;
  /** Ms; a request for more is an error. */
  readonly maxTtl: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: CaMetrics;
}

type Call = ServerUnaryCall<PbCertificateRequest, Encodable<PbCertificateResponse>>;

export function createCertificateHandler(options: CertificateServiceOptions) {
  const { log, metrics } = options;
  return (call: Call, callback: sendUnaryData<Encodable<PbCertificateResponse>>): void => {
    metrics.csr.inc();
    issue(options, call).then(
      (response) => {
        metrics.issued.inc();
        callback(null, response);
      },
      (e: unknown) => {
        if (e instanceof Unauthenticated) {
          metrics.authenticationFailures.inc();
          log.warn('certificate refused', { peer: call.getPeer(), reason: e.message });
          callback(opaqueRefusal as ServerErrorResponse);
        } else if (e instanceof BadRequest) {
          metrics.badRequests.inc();
          log.warn('certificate refused', { peer: call.getPeer(), reason: e.message });
          callback({ code: status.INVALID_ARGUMENT, details: e.message });
        } else {
          metrics.signErrors.inc();
          log.error('signing failed', { peer: call.getPeer(), error: describeError(e) });
          callback({ code: status.INTERNAL, details: 'signing failed' });
        }
      },
    );
  };
}

async function issue(options: CertificateServiceOptions, call: Call): Promise<Encodable<PbCertificateResponse>> {
  const { root, clock, log } = options;
  const caller = await options.authenticate(call.metadata, call.getAuthContext());
  const identity = identityFor(options, caller, stringField(call.request.metadata, 'ImpersonatedIdentity'));
  const ttl = ttlOf(Number(call.request.validityDuration), options);
  const leaf = await signWorkload(root, await verifyCsr(call.request.csr), identity, ttl, clock);
  log.debug('certificate issued', { identity: formatSpiffe(identity), ttl_ms: ttl, peer: call.getPeer() });
  return { certChain: [leaf, root.pem] };
}

function identityFor(options: CertificateServiceOptions, caller: Caller, impersonated: string | undefined): Identity {
  const { pods, trustDomain, trustedAccounts } = options;
  const own = `${caller.namespace}/${caller.serviceAccount}`;
  if (impersonated === undefined) {
    // A certificate alone is not enough: it could be renewed with itself for ever, long after its pod and node are gone.
    const bound = boundPod(caller, pods);
    if (bound.kind === 'refuse') throw new Unauthenticated(`${own}: ${bound.reason}`);
    return { trustDomain, namespace: caller.namespace, serviceAccount: caller.serviceAccount };
  }
  const requested = parseSpiffe(impersonated);
  if (requested === undefined)
    throw new Unauthenticated(`${own} asked for ${JSON.stringify(impersonated)}, no SPIFFE id`);
  const decision = authorizeImpersonation({ caller, requested, trustDomain, trustedAccounts, pods });
  if (decision.kind === 'refuse') throw new Unauthenticated(`${own} asked for ${impersonated}: ${decision.reason}`);
  return requested;
}

function ttlOf(seconds: number, { defaultTtl, maxTtl }: CertificateServiceOptions): number {
  if (!(seconds > 0)) return defaultTtl;
  if (seconds * 1000 <= maxTtl) return seconds * 1000;
  throw new BadRequest(`validity_duration ${seconds} s is more than the ${maxTtl / 1000} s of MAX_WORKLOAD_CERT_TTL`);
}
