/** Labels of the traffic metrics (ambient-wire 7.1). What is not known is `unknown`. */
import type { Baggage } from '../hbone/headers.ts';
import { formatSpiffe } from '../identity/spiffe.ts';
import type { Identity, Service, Workload } from '../mesh/types.ts';
import { baggageOf } from './baggage.ts';

export type Reporter = 'source' | 'destination';

/** The two ends of a connection, as well as they are known. */
export interface Flow {
  readonly reporter: Reporter;
  /** From the mesh, else from the peer's own word in its baggage. */
  readonly source: Workload | Baggage | undefined;
  readonly destination: Workload | Baggage | undefined;
  /** What was addressed, or what the destination serves it as. */
  readonly service: Service | undefined;
  /** Identities that TLS proved; undefined for plain text. */
  readonly mutualTls: { readonly source: Identity; readonly destination: Identity } | undefined;
}

export type Labels = Readonly<Record<string, string>>;

export const sourceLabelNames = sideNames('source');

export const flowLabelNames = [
  'reporter',
  ...sourceLabelNames,
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  ...sideNames('destination'),
  'request_protocol',
  'response_flags',
  'connection_security_policy',
  'source_region',
  'source_zone',
  'destination_region',
  'destination_zone',
] as const;

function sideNames<Side extends string>(side: Side) {
  return [
    `${side}_workload`,
    `${side}_canonical_service`,
    `${side}_canonical_revision`,
    `${side}_workload_namespace`,
    `${side}_principal`,
    `${side}_app`,
    `${side}_version`,
    `${side}_cluster`,
  ] as const;
}

/** All labels but response_flags, which depends on how the connection ends. */
export function flowLabels(flow: Flow): Labels {
  const source = asBaggage(flow.source);
  const destination = asBaggage(flow.destination);
  const { service, mutualTls } = flow;
  return {
    reporter: flow.reporter,
    ...side('source', source, mutualTls?.source),
    destination_service: known(service?.hostname),
    destination_service_namespace: known(service?.namespace),
    destination_service_name: known(service?.name),
    ...side('destination', destination, mutualTls?.destination),
    request_protocol: 'tcp',
    connection_security_policy: mutualTls ? 'mutual_tls' : 'unknown',
    ...((source || destination) && {
      source_region: known(source?.region),
      source_zone: known(source?.zone),
      destination_region: known(destination?.region),
      destination_zone: known(destination?.zone),
    }),
  };
}

/** Where no peer is known yet, and so nobody has proved anything. */
export function sourceLabels(source: Workload): Labels {
  return side('source', baggageOf(source), undefined);
}

function side(name: 'source' | 'destination', b: Baggage | undefined, principal: Identity | undefined): Labels {
  const service = known(b?.serviceName);
  const revision = known(b?.serviceVersion);
  return {
    [`${name}_workload`]: known(b?.workloadName),
    [`${name}_canonical_service`]: service,
    [`${name}_canonical_revision`]: revision,
    [`${name}_workload_namespace`]: known(b?.namespace),
    [`${name}_principal`]: principal ? formatSpiffe(principal) : 'unknown',
    [`${name}_app`]: service,
    [`${name}_version`]: revision,
    [`${name}_cluster`]: known(b?.clusterId),
  };
}

const keys = new WeakMap<object, number>();
let nextKey = 1;

/** Equal for flows of the very same objects, which the store replaces when they change. Cheap: it builds no labels. */
export function flowKey(flow: Flow): string {
  const { reporter, source, destination, service, mutualTls } = flow;
  const tls = mutualTls ? `${formatSpiffe(mutualTls.source)} ${formatSpiffe(mutualTls.destination)}` : '';
  return `${reporter} ${keyOf(source)} ${keyOf(destination)} ${keyOf(service)} ${tls}`;
}

function keyOf(object: Workload | Baggage | Service | undefined): string | number {
  if (!object) return '';
  // A peer's baggage is parsed anew for each connection, so its content counts, not the object.
  if (!('kind' in object)) return JSON.stringify(object);
  const found = keys.get(object);
  if (found !== undefined) return found;
  keys.set(object, nextKey);
  return nextKey++;
}

function asBaggage(end: Workload | Baggage | undefined): Baggage | undefined {
  return end && 'kind' in end ? baggageOf(end) : end;
}

function known(value: string | undefined): string {
  return value || 'unknown';
}
