/** What `/debug/*` shows, under Istio's names and in its shapes where tools read them (features A10). */

import { status } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  decodeAddress,
  decodeAuthorization,
  type PbStruct,
  stringField,
  workloadTypeUrl,
} from '../../common/api/index.ts';
import type { MeshAddress, Service, Workload } from '../../common/mesh/types.ts';
import { meshKinds } from '../model/ambient/inputs.ts';
import type { Catalog } from '../model/catalog.ts';
import type { MeshSettings } from '../model/settings.ts';
import type { ClusterStatus } from '../remote/clusters.ts';
import type { Client, ClientStatus } from '../xds/client.ts';

export interface DebugSources {
  readonly catalog: Catalog;
  readonly clients: () => Iterable<Client>;
  readonly settings: () => MeshSettings;
  readonly problems: () => unknown;
  /** The others. */
  readonly clusters: () => readonly ClusterStatus[];
}

/** Text is shown as it is, all else as JSON. */
export type Page = (query: URLSearchParams) => unknown;

/** The proxy that was asked for is not here. */
export class NoSuchProxy extends Error {}

export function debugPages({
  catalog,
  clients,
  settings,
  problems,
  clusters,
}: DebugSources): Readonly<Record<string, Page>> {
  const statuses = () => [...clients()].filter((c) => c.id !== '').map((c) => c.status());
  const inNamespace = (query: URLSearchParams) => {
    const namespace = query.get('namespace');
    return statuses().filter((s) => namespace === null || stringField(s.metadata, 'NAMESPACE') === namespace);
  };
  const selected = (query: URLSearchParams) => {
    const id = query.get('proxyID');
    return id === null ? statuses() : [clientOf(clients(), id).status()];
  };
  const decoded = () => [...catalog.resources(addressTypeUrl).values()].map((r) => addressOf(r.bytes));
  const policies = () =>
    [...catalog.resources(authorizationTypeUrl).values()].flatMap((r) => {
      const d = decodeAuthorization(r.bytes);
      return d.kind === 'rejected' ? [] : [d.value];
    });
  /** What the proxy that is named may see; everything without one. */
  const seenBy = (query: URLSearchParams) => {
    const id = query.get('proxyID');
    if (id === null) return services();
    const namespace = stringField(clientOf(clients(), id).status().metadata, 'NAMESPACE');
    return services().filter((s) => s.visibility === 'PUBLIC' || s.namespace === namespace);
  };
  const services = () => decoded().filter((a): a is Service => a.kind === 'service');
  const workloads = () => decoded().filter((a): a is Workload => a.kind === 'workload');

  const pages: Record<string, Page> = {
    adsz: (query) => ({ totalClients: selected(query).length, clients: selected(query).map(adsClient) }),
    ambientz: () => ({ workloads: workloads(), services: services(), policies: policies() }),
    authorizationz: () => ({ authorization_policies: policies() }),
    cachez: () =>
      Object.fromEntries(
        ([addressTypeUrl, authorizationTypeUrl] as const).map((type) => {
          const all = [...catalog.resources(type).values()];
          return [type, { resources: all.length, bytes: all.reduce((sum, r) => sum + r.bytes.length, 0) }];
        }),
      ),
    clusterz: () => [{ id: settings().clusterId, secretName: '', syncStatus: 'synced' }, ...clusters()],
    config_dump: (query) => configDump(clientOf(clients(), query.get('proxyID') ?? ''), catalog),
    configz: () => objectsOf(catalog),
    connections: (query) => ({
      totalClients: selected(query).length,
      clients: selected(query).map((s) => ({
        connectionId: s.connectionId,
        connectedAt: new Date(s.connectedAt).toISOString(),
        address: s.peer,
      })),
    }),
    edsz: (query) => endpoints(seenBy(query), workloads()),
    endpointz: () => endpoints(services(), workloads()),
    endpointShardz: () => endpoints(services(), workloads()),
    force_disconnect: (query) => {
      clientOf(clients(), query.get('proxyID') ?? '').fail(status.UNAVAILABLE, 'disconnected by force_disconnect');
      return 'OK\n';
    },
    instancesz: (query) =>
      Object.fromEntries(selected(query).map((s) => [proxyId(s), instancesOf(s, catalog, settings())])),
    krtz: () => ({ addresses: rows(catalog, addressTypeUrl), authorizations: rows(catalog, authorizationTypeUrl) }),
    // Of other clusters' exports (ServiceExport) nothing is read.
    mcsz: () => [],
    mesh: () => ({ ...settings(), compat: [...settings().compat] }),
    ndsz: (query) => ({ table: names(seenBy(query)) }),
    networkz: () => workloads().filter((w) => w.uid.startsWith('NetworkGateway/')),
    problems,
    push_status: () => ({
      waiting: statuses().filter((s) => [...s.types.values()].some((t) => t.isWaiting)).length,
      rejected: rejections(statuses()),
      problems: problems(),
    }),
    registryz: () => services(),
    resourcesz: () => meshKinds.map(({ kind: { group, version, kind } }) => ({ group, version, kind })),
    // Sidecar resources narrow nothing here: a proxy sees what is exported to its namespace.
    sidecarz: (query) => seenBy(query).map((s) => `${s.namespace}/${s.hostname}`),
    // Telemetry objects are checked; nothing of what proxies are told depends on them.
    telemetryz: () => ({ telemetries: {} }),
    syncz: (query) => inNamespace(query).map(syncStatus),
  };
  return { ...pages, list: () => [...Object.keys(pages)].sort() };
}

/** Workloads that a proxy speaks for, with their services: those of a node proxy's node, or the one that it is beside. */
function instancesOf(s: ClientStatus, catalog: Catalog, { network }: MeshSettings) {
  const [type, ip] = s.id.split('~');
  const own = catalog.find(addressTypeUrl, `${network}/${ip}`);
  const resources = type === 'ztunnel' ? catalog.onNode(s.node) : own === undefined ? [] : [own];
  return resources.map(({ name, services }) => ({ workload: name, services }));
}

/** Names that node proxies answer, with their addresses. */
function names(services: readonly Service[]) {
  return Object.fromEntries(
    services.map(({ hostname, name, namespace, addresses }) => [
      hostname,
      { ips: addresses.map((a) => a.ip), shortname: name, namespace },
    ]),
  );
}

/** By proxy and type, why the newest response was refused. */
function rejections(statuses: readonly ClientStatus[]) {
  return Object.fromEntries(
    statuses.flatMap((s) => {
      const refused = [...s.types].flatMap(([type, t]) => (t.lastError === '' ? [] : [[type, t.lastError]]));
      return refused.length === 0 ? [] : [[proxyId(s), Object.fromEntries(refused)]];
    }),
  );
}

function clientOf(clients: Iterable<Client>, id: string): Client {
  const found = id === '' ? undefined : [...clients].find((c) => c.id !== '' && c.names(id));
  if (found === undefined) {
    throw new NoSuchProxy('Proxy not connected to this Pilot instance. It may be connected to another instance.');
  }
  return found;
}

function syncStatus(s: ClientStatus) {
  const resources = [...s.types].map(([type, t]) => [
    type,
    {
      sent: t.sent,
      acked: t.acked,
      sentTime: new Date(t.sentAt).toISOString(),
      ...(t.lastError === '' ? {} : { lastError: t.lastError }),
    },
  ]);
  return {
    cluster_id: stringField(s.metadata, 'CLUSTER_ID') ?? '',
    proxy: proxyId(s),
    proxy_type: s.id.split('~', 1)[0]!,
    istio_version: stringField(s.metadata, 'ISTIO_VERSION') ?? '',
    resources: Object.fromEntries(resources),
  };
}

/** `name.namespace`, as Istio calls proxies. */
export function proxyId(s: Pick<ClientStatus, 'id'>): string {
  return s.id.split('~')[2] ?? s.id;
}

function adsClient(s: ClientStatus) {
  return {
    connectionId: s.connectionId,
    connectedAt: new Date(s.connectedAt).toISOString(),
    address: s.peer,
    metadata: plain(s.metadata),
    watches: Object.fromEntries([...s.types].map(([type, t]) => [type, t.watches])),
  };
}

/** The strings of a client's metadata. */
function plain(metadata: PbStruct | null): Readonly<Record<string, string>> {
  const names = Object.keys(metadata?.fields ?? {});
  return Object.fromEntries(
    names.flatMap((name) => {
      const text = stringField(metadata, name);
      return text === undefined ? [] : [[name, text]];
    }),
  );
}

/** What a proxy was told: of each type all names with versions, and whether it has confirmed the newest. */
function configDump(client: Client, all: Catalog) {
  const s = client.status();
  const catalog = client.group ?? all;
  return {
    proxy: proxyId(s),
    configs: [...s.types].map(([type, t]) => ({
      '@type': type,
      sent: t.sent,
      acked: t.acked,
      waiting: t.isWaiting,
      resources: [...catalog.resources(type === workloadTypeUrl ? addressTypeUrl : type).values()].map(
        ({ name, version }) => ({ name, version }),
      ),
    })),
  };
}

/** Objects of the mesh's own kinds with what was made of each. */
function objectsOf(catalog: Catalog) {
  const found = new Map<string, { kind: string; metadata: object; resources: string[] }>();
  for (const type of [addressTypeUrl, authorizationTypeUrl] as const) {
    for (const r of catalog.resources(type).values()) {
      for (const { kind, namespace, name, generation, resourceVersion } of r.inputs) {
        if (coreKinds.has(kind)) continue;
        const key = `${kind}/${namespace}/${name}`;
        const entry = found.get(key) ?? {
          kind,
          metadata: { namespace, name, generation, resourceVersion },
          resources: [],
        };
        entry.resources.push(r.name);
        found.set(key, entry);
      }
    }
  }
  return [...found.values()];
}

const coreKinds = new Set(['Pod', 'Node', 'Namespace', 'Service', 'EndpointSlice']);

function rows(catalog: Catalog, type: typeof addressTypeUrl | typeof authorizationTypeUrl) {
  return [...catalog.resources(type).values()].map(({ name, aliases, version, inputs }) => ({
    name,
    aliases,
    version,
    inputs,
  }));
}

function endpoints(services: readonly Service[], workloads: readonly Workload[]) {
  const of = new Map<string, object[]>(services.map((s) => [`${s.namespace}/${s.hostname}`, []]));
  for (const w of workloads) {
    for (const [service, ports] of w.services) {
      of.get(service)?.push({ uid: w.uid, addresses: w.addresses, ports, status: w.status, network: w.network });
    }
  }
  return [...of].map(([svc, ep]) => ({ svc, ep }));
}

function addressOf(bytes: Uint8Array): MeshAddress {
  const d = decodeAddress(bytes);
  if (d.kind === 'rejected') throw new Error(d.reason);
  return d.value;
}

/** JSON with maps as objects. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) => (v instanceof Map ? Object.fromEntries(v) : v), 2);
}
