/** What each command shows of a node proxy: columns, filters and order as istioctl's. Pure. */
import type { Certificate, Connection, Pem, Policy, Service, Workload, WorkloadState, ZtunnelDump } from './dump.ts';

export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** undefined: all. Case does not count. */
export interface WorkloadFilter {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly address?: string | undefined;
  readonly node?: string | undefined;
}

export function workloadsOf(dump: ZtunnelDump, filter: WorkloadFilter): readonly Workload[] {
  const { name, namespace, address, node } = filter;
  return dump.workloads
    .filter(
      (w) =>
        isSame(name, w.name) &&
        isSame(namespace, w.namespace) &&
        isSame(node, w.node ?? '') &&
        (address === undefined || (w.workloadIps ?? []).some((ip) => isSame(address, ip))),
    )
    .toSorted(by((w) => [`${w.namespace}.${w.name}`, w.node ?? '']));
}

export function workloadTable(dump: ZtunnelDump, filter: WorkloadFilter): Table {
  return {
    header: ['NAMESPACE', 'POD NAME', 'ADDRESS', 'NODE', 'WAYPOINT', 'PROTOCOL'],
    rows: workloadsOf(dump, filter).map((w) => {
      const ips = (w.workloadIps ?? []).join(',');
      return [
        w.namespace,
        w.name,
        ips === '' ? (w.hostname ?? '') : ips,
        w.node ?? '',
        waypointOf(w, dump),
        w.protocol,
      ];
    }),
  };
}

export function servicesOf(dump: ZtunnelDump, namespace: string | undefined): readonly Service[] {
  return dump.services
    .filter((s) => isSame(namespace, s.namespace))
    .toSorted(by((s) => [s.namespace, s.name, s.hostname]));
}

export function serviceTable(dump: ZtunnelDump, namespace: string | undefined): Table {
  const healthy = new Set(dump.workloads.filter((w) => w.status === 'Healthy').map((w) => w.uid));
  return {
    header: ['NAMESPACE', 'SERVICE NAME', 'SERVICE VIP', 'WAYPOINT', 'ENDPOINTS'],
    rows: servicesOf(dump, namespace).map((s) => {
      const endpoints = Object.values(s.endpoints ?? {});
      const up = endpoints.filter((e) => healthy.has(e.workloadUid)).length;
      const vips = (s.vips ?? []).map((vip) => vip.slice(vip.indexOf('/') + 1)).join(',');
      return [s.namespace, s.name, vips, waypointOf(s, dump), `${up}/${endpoints.length}`];
    }),
  };
}

export function policiesOf(dump: ZtunnelDump, namespace: string | undefined): readonly Policy[] {
  return dump.policies.filter((p) => isSame(namespace, p.namespace)).toSorted(by((p) => [p.namespace, p.name]));
}

export function policyTable(dump: ZtunnelDump, namespace: string | undefined): Table {
  return {
    header: ['NAMESPACE', 'POLICY NAME', 'ACTION', 'SCOPE'],
    rows: policiesOf(dump, namespace).map((p) => [p.namespace, p.name, p.action, p.scope]),
  };
}

/** `now` in ms since the epoch. */
export function certificateTable({ certificates }: ZtunnelDump, now: number): Table {
  return {
    header: ['CERTIFICATE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE'],
    rows: certificates.flatMap((c) => certificateRows(c, now)),
  };
}

function certificateRows(c: Certificate, now: number): readonly (readonly string[])[] {
  const state = c.state.includes('Unavailable') ? 'Unavailable' : c.state;
  const chain = c.certChain ?? [];
  if (chain.length === 0) return [[c.identity, 'NA', state, 'false', 'NA', 'NA', 'NA']];
  const roots = c.rootCerts ?? [];
  // Before rootCerts were told, the last of the chain was the root.
  const typeOf = (i: number) =>
    i === 0 ? 'Leaf' : i === chain.length - 1 && roots.length === 0 ? 'Root' : 'Intermediate';
  const row = (type: string, pem: Pem) => {
    const serial = /^\d+$/.test(pem.serialNumber) ? BigInt(pem.serialNumber).toString(16) : pem.serialNumber;
    return [
      c.identity,
      type,
      state,
      String(isValid(pem, now)),
      serial,
      pem.expirationTime || 'NA',
      pem.validFrom || 'NA',
    ];
  };
  return [...chain.map((pem, i) => row(typeOf(i), pem)), ...roots.map((pem) => row('Root', pem))];
}

function isValid({ validFrom, expirationTime }: Pem, now: number): boolean {
  return now > Date.parse(validFrom) && now < Date.parse(expirationTime);
}

export interface ConnectionFilter {
  readonly workload?: string | undefined;
  readonly namespace?: string | undefined;
  readonly direction?: 'inbound' | 'outbound' | undefined;
  readonly raw: boolean;
}

export function statesOf(dump: ZtunnelDump, { workload, namespace }: ConnectionFilter): readonly WorkloadState[] {
  return dump.workloadState
    .filter(({ info }) => isSame(namespace, info.namespace) && isSame(workload, info.name))
    .toSorted(by(({ info }) => [info.namespace, info.name]));
}

export function connectionTable(dump: ZtunnelDump, filter: ConnectionFilter): Table {
  const nameOf = filter.raw ? (address: string) => address : namesOf(dump);
  const row = (
    workload: string,
    direction: string,
    local: string,
    remote: string,
    target: string,
    protocol: string,
  ) => [workload, direction, nameOf(local), nameOf(remote), target, protocol];
  const inbound = (name: string) => (c: Connection) =>
    row(name, 'Inbound', c.actualDst, c.src, c.originalDst ?? '', c.protocol);
  const outbound = (name: string) => (c: Connection) =>
    row(name, 'Outbound', c.src, c.actualDst, nameOf(c.originalDst ?? ''), c.protocol);
  return {
    header: ['WORKLOAD', 'DIRECTION', 'LOCAL', 'REMOTE', 'REMOTE TARGET', 'PROTOCOL'],
    rows: statesOf(dump, filter).flatMap(({ info, connections = {} }) => {
      const name = `${info.name}.${info.namespace}`;
      return [
        ...(filter.direction === 'outbound' ? [] : (connections.inbound ?? []).map(inbound(name))),
        ...(filter.direction === 'inbound' ? [] : (connections.outbound ?? []).map(outbound(name))),
      ];
    }),
  };
}

/** `10.96.0.7:80` as `web.shop.svc.cluster.local:80`, or NAME.NAMESPACE of a workload; what is unknown as it is. */
export function namesOf({
  services,
  workloads,
}: Pick<ZtunnelDump, 'services' | 'workloads'>): (address: string) => string {
  const names = new Map<string, string>();
  for (const w of workloads) for (const ip of w.workloadIps ?? []) names.set(ip, `${w.name}.${w.namespace}`);
  for (const s of services) for (const vip of s.vips ?? []) names.set(vip.slice(vip.indexOf('/') + 1), s.hostname);
  return (address) => {
    const colon = address.lastIndexOf(':');
    const name = names.get(address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'));
    return name === undefined ? address : `${name}${address.slice(colon)}`;
  };
}

/** The Service of the waypoint; NA where the proxy does not know it. */
function waypointOf({ waypoint }: Workload | Service, { services }: ZtunnelDump): string {
  if (waypoint === undefined) return 'None';
  const { destination } = waypoint;
  const found = services.find((s) => `${s.namespace}/${s.hostname}` === destination || s.vips?.includes(destination));
  return found?.name ?? 'NA';
}

function isSame(wanted: string | undefined, value: string): boolean {
  return wanted === undefined || wanted.toLowerCase() === value.toLowerCase();
}

function by<T>(keys: (item: T) => readonly string[]): (a: T, b: T) => number {
  return (a, b) => {
    const [ka, kb] = [keys(a), keys(b)];
    const i = ka.findIndex((k, at) => k !== kb[at]);
    return i < 0 ? 0 : ka[i]! < kb[i]! ? -1 : 1;
  };
}
