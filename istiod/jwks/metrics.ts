/** How often keys of issuers, or where those are, were asked for, under Istio's names. */
import { Counter, type Registry } from 'prom-client';
import type { KeyResolverOptions } from './resolver.ts';

export function countFetches(registry: Registry, fetch: KeyResolverOptions['fetch']): KeyResolverOptions['fetch'] {
  const registers = [registry];
  const succeeded = new Counter({
    name: 'pilot_jwks_resolver_network_fetch_success_total',
    help: 'Requests for keys of issuers that were answered.',
    registers,
  });
  const failed = new Counter({
    name: 'pilot_jwks_resolver_network_fetch_fail_total',
    help: 'Requests for keys of issuers that failed, or that settings forbid.',
    registers,
  });
  return async (uri, timeout) => {
    try {
      const text = await fetch(uri, timeout);
      succeeded.inc();
      return text;
    } catch (e) {
      failed.inc();
      throw e;
    }
  };
}
