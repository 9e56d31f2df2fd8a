/** The CA's metrics, under Istio's names. */
import { Counter, type Registry } from 'prom-client';
import type { Clock } from '../../common/core/clock.ts';
import { gaugeOf } from '../../common/telemetry/program.ts';
import type { Signer } from './signers/signer.ts';

export interface CaMetrics {
  readonly csr: Counter;
  readonly issued: Counter;
  readonly authenticationFailures: Counter;
  readonly unreadableIdentities: Counter;
  readonly badRequests: Counter;
  readonly signErrors: Counter;
}

export function createCaMetrics(registry: Registry, signer: Signer, clock: Clock): CaMetrics {
  const counter = (name: string, help: string) =>
    new Counter({ name: `citadel_server_${name}`, help, registers: [registry] });
  const ends = (what: string, name: string, at: () => number) => {
    const timestamp = `citadel_server_${name}_expiry_timestamp`;
    gaugeOf(registry, timestamp, `When ${what} expires, seconds since the epoch.`, () => at() / 1000);
    const left = `citadel_server_${name}_expiry_seconds`;
    gaugeOf(registry, left, `Seconds until ${what} expires.`, () => (at() - clock.wall()) / 1000);
  };
  ends('the first of the roots', 'root_cert', () => Math.min(...signer.roots().map((r) => r.notAfter)));
  if (signer.expiry() !== undefined)
    ends('the certificate that signs, or one above it,', 'cert_chain', () => signer.expiry() ?? Number.NaN);
  return {
    csr: counter('csr_count', 'Certificate signing requests received.'),
    issued: counter('success_cert_issuance_count', 'Certificates issued.'),
    authenticationFailures: counter('authentication_failure_count', 'Requests refused for who asked, or for whom.'),
    unreadableIdentities: counter('id_extraction_err_count', 'Requests for what is no SPIFFE id.'),
    badRequests: counter('csr_parsing_err_count', 'Requests with an unusable CSR or lifetime.'),
    signErrors: counter('csr_sign_err_count', 'Requests that the signer failed.'),
  };
}
