/** Between identify and decide, where addresses come on demand: what the decision needs is asked for first. */
import {
  type InboundNeed,
  inboundNeeds,
  labelNeeds,
  type OutboundNeed,
  outboundNeeds,
} from '../../common/mesh/needs.ts';
import type { ProxyRuntime } from './runtime.ts';

/** undefined where nothing has to be asked. MeshError NO_HEALTHY_UPSTREAM while the control plane does not answer. */
export function informOutbound(runtime: ProxyRuntime, need: OutboundNeed): Promise<void> | undefined {
  return untilKnown(runtime, () => outboundNeeds(runtime.store, need));
}

/** As `informOutbound`; does not wait for what only labels need. */
export function informInbound(runtime: ProxyRuntime, need: InboundNeed): Promise<void> | undefined {
  if (!runtime.demand) return undefined;
  // Labels without an answer are left out; nobody waits for that.
  runtime.demand.need(labelNeeds(need))?.catch(() => undefined);
  return untilKnown(runtime, () => inboundNeeds(need));
}

/** Answers name further things: a service its waypoint, an endpoint its gateway. */
function untilKnown(runtime: ProxyRuntime, needs: () => readonly string[]): Promise<void> | undefined {
  return runtime.demand?.need(needs())?.then(() => untilKnown(runtime, needs));
}
