/** Services whose name the client says, under a wildcard: what looks it up before the cluster of such a service. */
import { dnsCache } from '../clusters/cluster.ts';
import type { EnvoyProxy } from '../proxy.ts';
import { extension, type Message } from '../values.ts';

/** By the host of the request. */
export function dynamicHttp(proxy: EnvoyProxy): Message {
  return extension(
    'envoy.filters.http.dynamic_forward_proxy',
    'envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig',
    { dns_cache_config: dnsCache(proxy) },
  );
}

/** By the name in the hello of TLS. */
export function dynamicTls(proxy: EnvoyProxy, port: number): Message {
  return extension(
    'envoy.filters.network.sni_dynamic_forward_proxy',
    'envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig',
    { dns_cache_config: dnsCache(proxy), port_value: port },
  );
}
