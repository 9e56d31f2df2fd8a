/** istio_crl_* (ambient-wire 7.1). */
import { Counter, type Registry } from 'prom-client';
import type { RevocationCounters } from '../tls/revocation.ts';

export function revocationMetrics(registry: Registry): RevocationCounters {
  const labelNames = ['reporter'] as const;
  const registers = [registry];
  const rejected = new Counter({
    name: 'istio_crl_policy_rejections_total',
    help: 'Peers that were refused or cut because their certificate is revoked',
    labelNames,
    registers,
  });
  const untracked = new Counter({
    name: 'istio_crl_untracked_connections_total',
    help: 'HBONE connections of peers whose certificates no revocation list covers',
    labelNames,
    registers,
  });
  return { rejected: (reporter) => rejected.inc({ reporter }), unknown: (reporter) => untracked.inc({ reporter }) };
}
