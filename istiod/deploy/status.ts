/** What the status of a waypoint's Gateway says. Pure. */
import type { Condition } from '../../common/kube/kinds/core.ts';
import type { Gateway, GatewayListener } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { conditionsFor, type WantedCondition } from '../model/condition.ts';

/** What stands before its pods, as far as it is there. */
export interface Front {
  /** `waypoint.shop.svc.cluster.local`. */
  readonly hostname: string;
  /** undefined: there is no such Service. */
  readonly service: { readonly ips: readonly string[]; readonly ports: readonly number[] } | undefined;
  /** Its pods that are ready. */
  readonly readyPods: number;
}

export interface GatewayFacts {
  readonly front: Front;
  /** Why it cannot be made as it is wanted. */
  readonly fault: { readonly reason: 'InvalidParameters' | 'Invalid'; readonly message: string } | undefined;
}

interface Address {
  readonly type: 'IPAddress' | 'Hostname';
  readonly value: string;
}

interface ListenerStatus {
  readonly name: string;
  readonly attachedRoutes: number;
  readonly supportedKinds: readonly [];
  readonly conditions: readonly Condition[];
}

export interface GatewayStatus {
  readonly addresses: readonly Address[];
  readonly conditions: readonly Condition[];
  readonly listeners: readonly ListenerStatus[];
}

type Wanted = ReadonlyMap<string, WantedCondition>;

/** `now`: RFC 3339. Conditions of other types stay. */
export function gatewayStatus(gateway: Gateway, facts: GatewayFacts, now: string): GatewayStatus {
  const { listeners } = gateway.spec;
  const valid = listeners.filter(isValid).length;
  return {
    addresses: addressesOf(gateway, facts.front),
    conditions: settled(gateway, gateway.status?.conditions ?? [], gatewayConditions(gateway, facts, valid), now),
    listeners: listeners.map((l) => ({
      name: l.name,
      // Routes name the services behind it as their parents, which are not attached to the listener for that.
      attachedRoutes: 0,
      supportedKinds: [],
      conditions: settled(
        gateway,
        (gateway.status?.listeners ?? []).find((s) => s.name === l.name)?.conditions ?? [],
        listenerConditions(l),
        now,
      ),
    })),
  };
}

function settled(gateway: Gateway, present: readonly object[], wanted: Wanted, now: string): readonly Condition[] {
  const conditions = present as readonly Condition[];
  return conditionsFor({ ...gateway, status: { conditions } }, wanted, now) ?? conditions;
}

/** Once it has addresses they stay: users that are behind it must not lose it while its pods are replaced. */
function addressesOf({ status }: Gateway, { hostname, service, readyPods }: Front): readonly Address[] {
  const present = (status?.addresses ?? []) as readonly Address[];
  if (service === undefined || (readyPods === 0 && present.length === 0)) return present;
  return [
    ...service.ips.map((value) => ({ type: 'IPAddress', value }) as const),
    { type: 'Hostname', value: hostname },
  ];
}

function gatewayConditions({ spec }: Gateway, { front, fault }: GatewayFacts, valid: number): Wanted {
  return new Map([
    ['Accepted', acceptance(spec.listeners.length, valid, fault)],
    ['Programmed', programming(spec.listeners, front, fault)],
    ['ResolvedRefs', { status: 'True', reason: 'ResolvedRefs', message: 'it names nothing that is missing' }],
  ]);
}

function acceptance(all: number, valid: number, fault: GatewayFacts['fault']): WantedCondition {
  if (fault?.reason === 'InvalidParameters') return { status: 'False', ...fault };
  if (valid === all) return { status: 'True', reason: 'Accepted', message: 'istiod makes this waypoint' };
  const message = `${all - valid} of ${all} listeners are not valid; see their conditions`;
  return { status: valid === 0 ? 'False' : 'True', reason: 'ListenersNotValid', message };
}

function programming(
  listeners: readonly GatewayListener[],
  front: Front,
  fault: GatewayFacts['fault'],
): WantedCondition {
  const { hostname, service, readyPods } = front;
  const unassigned = (message: string): WantedCondition => ({ status: 'False', reason: 'AddressNotAssigned', message });
  if (fault) return { status: 'False', reason: 'Invalid', message: fault.message };
  if (service === undefined) return unassigned(`there is no Service ${hostname} yet`);
  const missing = listeners.map((l) => l.port).find((port) => !service.ports.includes(port));
  if (missing !== undefined) return unassigned(`Service ${hostname} has no port ${missing}`);
  if (readyPods === 0) return unassigned(`no pod of Service ${hostname} is ready`);
  const ports = [...new Set(listeners.map((l) => l.port))].map((port) => `${hostname}:${port}`).join(', ');
  return { status: 'True', reason: 'Programmed', message: `serves at ${ports} with ${readyPods} pods` };
}

function listenerConditions(listener: GatewayListener): Wanted {
  if (isValid(listener)) {
    return new Map([
      ['Accepted', { status: 'True', reason: 'Accepted', message: 'no errors found' }],
      ['Programmed', { status: 'True', reason: 'Programmed', message: 'no errors found' }],
      ['ResolvedRefs', kindsOf(listener)],
      ['Conflicted', { status: 'False', reason: 'NoConflicts', message: 'no errors found' }],
    ]);
  }
  const { protocol, port } = listener;
  const message = `a waypoint listens for protocol HBONE on port 15008, not for ${protocol} on port ${port}`;
  return new Map([
    ['Accepted', { status: 'False', reason: 'UnsupportedProtocol', message }],
    ['Programmed', { status: 'False', reason: 'Invalid', message }],
    ['ResolvedRefs', { status: 'True', reason: 'ResolvedRefs', message: 'no errors found' }],
    ['Conflicted', { status: 'False', reason: 'NoConflicts', message: 'no errors found' }],
  ]);
}

function kindsOf({ allowedRoutes }: GatewayListener): WantedCondition {
  const kinds = (allowedRoutes?.kinds ?? []).map((k) => k.kind);
  if (kinds.length === 0) return { status: 'True', reason: 'ResolvedRefs', message: 'no errors found' };
  const message = `allowedRoutes.kinds: ${kinds.join()}: routes do not attach to a waypoint but to the services behind it`;
  return { status: 'False', reason: 'InvalidRouteKinds', message };
}

/** In a sandwich a second one says where it listens itself (ambient-wire 9.2). */
function isValid({ protocol, port }: GatewayListener): boolean {
  return (protocol === 'HBONE' && port === 15_008) || protocol === 'istio.io/PROXY';
}
