/** A service by its own address, as any client without a proxy's knowledge dials it. */

import { isIpv6 } from '../../../common/core/net.ts';
import type { Typed } from '../../../common/envoy/codec.ts';
import type { EnvoyProxy } from '../proxy.ts';
import { socketAddress, typed } from '../values.ts';
import type { AssignmentPlan } from './assignment.ts';

/** The first address that the proxy can reach, else the first of all. */
export function addressAssignment(proxy: EnvoyProxy, { name, service, port }: AssignmentPlan): Typed {
  const whole = service.addresses.filter((a) => a.length === undefined);
  const fits = whole.find((a) => proxy.families === 'both' || isIpv6(a.ip) === (proxy.families === 'ipv6'));
  const address = fits ?? whole[0];
  const lb_endpoints = address === undefined ? [] : [{ endpoint: { address: socketAddress(address.ip, port) } }];
  return typed('envoy.config.endpoint.v3.ClusterLoadAssignment', {
    cluster_name: name,
    endpoints: [{ locality: {}, load_balancing_weight: { value: 1 }, lb_endpoints }],
  });
}
