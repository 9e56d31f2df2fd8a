/** A mesh of YAML, served to Envoys without an API server; and a client that keeps what an Envoy would. Only for tests. */
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import {
  deltaAdsService,
  type Encodable,
  type JsonValue,
  type PbDeltaRequest,
  type PbDeltaResponse,
  structFromJson,
} from '../../common/api/index.ts';
import { decodeEnvoy, type TypedObject } from '../../common/envoy/codec.ts';
import { until } from '../../common/testing/until.ts';
import type { Credentials } from '../envoy/credentials.ts';
import {
  clusterTypeUrl,
  type EnvoyType,
  endpointTypeUrl,
  envoyTypes,
  routeTypeUrl,
  secretTypeUrl,
  servedTypes,
} from '../envoy/types.ts';
import { defaultSettings, type MeshSettings } from '../model/settings.ts';
import { TestMesh } from '../model/testing/test-mesh.ts';
import { startXdsBed, type XdsBed } from './xds-bed.ts';

export interface EnvoyBed extends Disposable {
  readonly mesh: TestMesh;
  readonly port: number;
  readonly xds: XdsBed['xds'];
  /** Objects without a namespace are of `shop`. */
  apply(yaml: string): void;
  remove(kind: string, key: string): void;
  /** What MeshConfig says for Envoys from now on; what is left out has its default. */
  configure(envoy: Partial<MeshSettings['envoy']>): void;
  /** What `credentials` find is something else. */
  looked(lookup: string): void;
}

export interface EnvoyBedOptions {
  readonly settings?: Partial<MeshSettings>;
  /** Where Secrets come from; who asks is then the account of the waypoint. */
  readonly credentials?: Credentials;
}

export async function startEnvoyBed(yaml: string, { settings, credentials }: EnvoyBedOptions = {}): Promise<EnvoyBed> {
  const mesh = new TestMesh(yaml, settings, credentials);
  const caller = { namespace: 'shop', serviceAccount: 'waypoint' };
  const bed = await startXdsBed({
    envoy: mesh.index.envoy,
    network: () => mesh.index.settings.network,
    ...(credentials && { caller }),
  });
  const tell = (change: ReturnType<TestMesh['apply']>) => change && bed.xds.changed(change);
  return {
    mesh,
    port: bed.port.port,
    xds: bed.xds,
    apply: (more) => void tell(mesh.apply(more)),
    remove: (kind, key) => void tell(mesh.remove(kind, key)),
    configure(envoy) {
      mesh.index.configure({ ...mesh.index.settings, envoy: { ...defaultSettings.envoy, ...envoy } });
      tell(mesh.index.flush());
    },
    looked(lookup) {
      mesh.index.envoy.looked(lookup);
      tell(mesh.index.flush());
    },
    [Symbol.dispose]: () => bed.stop(),
  };
}

/** A node as the waypoint `name` of `shop` says of itself. */
export function waypointNode(name = 'waypoint', more: Readonly<Record<string, JsonValue>> = {}) {
  return {
    id: `waypoint~10.244.9.9~${name}-0.shop~shop.svc.cluster.local`,
    metadata: {
      NAMESPACE: 'shop',
      SERVICE_ACCOUNT: name,
      LABELS: { 'gateway.networking.k8s.io/gateway-name': name },
      ...more,
    },
  };
}

/** Asks for clusters, then endpoints and listeners, then routes, as Envoy does; ACKs by itself unless told to refuse. */
/** As an Envoy, it confirms clusters only once the endpoints of each have come anew, be it the word that there are none. */
export class EnvoyClient implements Disposable {
  /** Clusters whose endpoints it waits for, and the answer that waits with them. */
  readonly #warming = new Set<string>();
  #confirm: (() => void) | undefined;
  readonly resources = new Map<EnvoyType, Map<string, TypedObject>>(servedTypes.map((t) => [t, new Map()]));
  readonly responses: PbDeltaResponse[] = [];
  refuse: (r: PbDeltaResponse) => string | undefined = () => undefined;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Encodable<PbDeltaRequest>, PbDeltaResponse>;
  readonly #asked = new Map<EnvoyType, Set<string>>([
    [endpointTypeUrl, new Set()],
    [routeTypeUrl, new Set()],
    [secretTypeUrl, new Set()],
  ]);

  constructor(port: number, node = waypointNode()) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    const { DeltaAggregatedResources: m } = deltaAdsService;
    this.#stream = this.#client.makeBidiStreamRequest(m.path, m.requestSerialize, m.responseDeserialize);
    this.#stream.on('error', () => undefined);
    this.#stream.on('data', (r: PbDeltaResponse) => this.#onResponse(r));
    const [clusters, , listeners] = envoyTypes;
    const from = { id: node.id, metadata: structFromJson(node.metadata) };
    this.#stream.write({ node: from, typeUrl: clusters });
    this.#stream.write({ typeUrl: listeners });
  }

  /** Everything that it asked for has come. */
  async settled(): Promise<this> {
    await until('clusters, listeners, endpoints and routes', () => {
      const [clusters, , listeners] = envoyTypes;
      const all = [...this.#asked].every(([type, names]) => [...names].every((n) => this.resources.get(type)!.has(n)));
      return all && this.resources.get(clusters)!.size > 0 && this.resources.get(listeners)!.size > 0;
    });
    return this;
  }

  names(type: EnvoyType): readonly string[] {
    return [...this.resources.get(type)!.keys()].sort();
  }

  get(type: EnvoyType, name: string): TypedObject | undefined {
    return this.resources.get(type)!.get(name);
  }

  [Symbol.dispose](): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #onResponse(r: PbDeltaResponse): void {
    this.responses.push(r);
    const message = this.refuse(r);
    const type = r.typeUrl as EnvoyType;
    const kept = this.resources.get(type)!;
    for (const { name, resource } of message === undefined ? r.resources : []) {
      const decoded = decodeEnvoy(type, resource!.value);
      if (decoded.kind === 'rejected') throw new Error(`${name}: ${decoded.reason}`);
      kept.set(name, decoded.value);
      this.#follow(name, decoded.value);
    }
    for (const name of r.removedResources) kept.delete(name);
    const detail = message === undefined ? {} : { errorDetail: { code: 13, message } };
    const answer = () => this.#stream.write({ typeUrl: type, responseNonce: r.nonce, ...detail });
    if (type !== clusterTypeUrl || message !== undefined) answer();
    else {
      for (const { name } of r.resources) if (kept.get(name)?.['type'] === 'EDS') this.#warming.add(name);
      this.#confirm = answer;
    }
    if (type === endpointTypeUrl)
      for (const name of [...r.resources.map((x) => x.name), ...r.removedResources]) this.#warming.delete(name);
    if (this.#warming.size > 0) return;
    this.#confirm?.();
    this.#confirm = undefined;
  }

  /** Asks for what the resource refers to. */
  #follow(name: string, value: TypedObject): void {
    if (value['type'] === 'EDS') this.#ask(endpointTypeUrl, name);
    for (const [, secret] of JSON.stringify(value).matchAll(/"name":"(kubernetes:[^"]+)"/g))
      this.#ask(secretTypeUrl, secret!);
    for (const [, route] of JSON.stringify(value).matchAll(/"route_config_name":"([^"]+)"/g))
      this.#ask(routeTypeUrl, route!);
  }

  #ask(type: EnvoyType, name: string): void {
    const names = this.#asked.get(type)!;
    if (names.has(name)) return;
    names.add(name);
    this.#stream.write({ typeUrl: type, resourceNamesSubscribe: [name] });
  }
}
