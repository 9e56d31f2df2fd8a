/** Second stage: who is this, and where did it want to go. What cannot be told is refused, never passed through. */
import type { Fd } from '../../common/core/brand.ts';
import { MeshError } from '../../common/core/errors.ts';
import { isLoopback, type SocketAddr } from '../../common/core/net.ts';
import type { Workload } from '../../common/mesh/types.ts';
import type { Accepted } from './accept.ts';
import type { ProxiedPod } from './pod.ts';

/** Asks the kernel where a captured connection wanted to go; undefined when it was not captured. */
export type OriginalDestination = (fd: Fd) => SocketAddr | undefined;

/** The pod's own workload; mostly at once, else within 5 s. MeshError UNKNOWN_SOURCE. */
export function identifyPod(pod: ProxiedPod): Workload | Promise<Workload> {
  return pod.workload() ?? pod.waitForWorkload();
}

/**
 * Where an outgoing connection wanted to go. MeshError LOOP when it was not captured: someone called the proxy's port directly.
 */
export function outboundDestination(accepted: Accepted, ask: OriginalDestination): SocketAddr {
  const destination = ask(accepted.fd);
  if (!destination) throw new MeshError('LOOP', 'a connection to the outbound port was not captured from anywhere');
  return destination;
}

/**
 * Where plain text to the pod was going: with sk_lookup the address it arrived at, after a redirect what conntrack remembers.
 * MeshError LOOP when that is the proxy's own loopback listener.
 */
export function inboundDestination(accepted: Accepted, ask: OriginalDestination): SocketAddr {
  const destination = isLoopback(accepted.local.ip) ? undefined : (ask(accepted.fd) ?? accepted.local);
  if (!destination) throw new MeshError('LOOP', 'a connection from inside the pod to the inbound port');
  return destination;
}
