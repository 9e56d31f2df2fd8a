/**
 * One delta ADS stream: all clusters and listeners, and by name the endpoints, route tables and secrets that those ask for. What is not
 * understood is NACKed by resource and field, and the last good one stays; what was learned stays when the control plane goes away.
 */
import type { Encodable, PbDeltaResponse, PbNode } from '../../common/api/index.ts';
import { decodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { type DeltaStream, type DeltaStreamOptions, keepDeltaStream } from '../../common/xds/delta-stream.ts';
import type { ResourceKind, Runtime } from './runtime.ts';

export interface AdsOptions extends DeltaStreamOptions {
  readonly node: Encodable<PbNode>;
  readonly runtime: Runtime;
  /** Whether a secret does not come by this stream. */
  readonly ownSecret: (name: string) => boolean;
}

export interface Ads {
  /** Types whose first response is still to come. */
  pending(): readonly string[];
}

/** One type of resource. */
interface Kind {
  readonly kind: ResourceKind;
  readonly typeUrl: string;
  /** undefined: all that there are. */
  readonly wanted: (() => ReadonlySet<string>) | undefined;
  /** Of what was understood. */
  readonly versions: Map<string, string>;
  /** Names asked for on this stream. */
  asked: Set<string>;
  answered: boolean;
}

export function startAds(options: AdsOptions): Ads {
  const { runtime, ownSecret } = options;
  const kind = (name: ResourceKind, type: string, wanted?: Kind['wanted']): Kind => ({
    kind: name,
    typeUrl: typeUrl(type),
    wanted,
    versions: new Map(),
    asked: new Set(),
    answered: false,
  });
  // In the order in which they depend on each other.
  const kinds = [
    kind('cluster', 'envoy.config.cluster.v3.Cluster'),
    kind('assignment', 'envoy.config.endpoint.v3.ClusterLoadAssignment', () => runtime.wantedAssignments),
    kind('listener', 'envoy.config.listener.v3.Listener'),
    kind('route', 'envoy.config.route.v3.RouteConfiguration', () => runtime.wantedRoutes),
    kind(
      'secret',
      'envoy.extensions.transport_sockets.tls.v3.Secret',
      () => new Set([...runtime.wantedSecrets].filter((name) => !ownSecret(name))),
    ),
  ];
  const subscriber = new Subscriber(kinds, options);
  void keepDeltaStream(options, {
    opened: (stream) => subscriber.subscribe(stream),
    response: (stream, response) => subscriber.handle(stream, response),
    closed: () => subscriber.closed(),
  });
  return { pending: () => kinds.filter((k) => k.wanted === undefined && !k.answered).map((k) => `${k.kind}s`) };
}

class Subscriber {
  readonly #kinds: readonly Kind[];
  readonly #options: AdsOptions;
  /** A response is being applied: what it names is asked for behind its answer. */
  #applying = false;
  #unwatch: (() => void) | undefined;

  constructor(kinds: readonly Kind[], options: AdsOptions) {
    this.#kinds = kinds;
    this.#options = options;
  }

  subscribe(stream: DeltaStream): void {
    let node: Encodable<PbNode> | undefined = this.#options.node;
    for (const kind of this.#kinds) {
      kind.asked = new Set(kind.wanted?.() ?? []);
      if (kind.wanted && kind.asked.size === 0) continue;
      stream.write({
        ...(node && { node }),
        typeUrl: kind.typeUrl,
        resourceNamesSubscribe: [...kind.asked],
        initialResourceVersions: Object.fromEntries(kind.versions),
      });
      node = undefined;
    }
    this.#unwatch = this.#options.runtime.watch(() => this.#ask(stream));
  }

  closed(): void {
    this.#unwatch?.();
  }

  /** Tells which names are asked for anew, and which no longer. */
  #ask(stream: DeltaStream): void {
    if (this.#applying) return;
    for (const kind of this.#kinds) {
      const wanted = kind.wanted?.();
      if (!wanted) continue;
      const subscribe = [...wanted].filter((name) => !kind.asked.has(name));
      const unsubscribe = [...kind.asked].filter((name) => !wanted.has(name));
      if (subscribe.length === 0 && unsubscribe.length === 0) continue;
      kind.asked = new Set(wanted);
      for (const name of unsubscribe) {
        kind.versions.delete(name);
        this.#options.runtime.remove(kind.kind, name);
      }
      stream.write({ typeUrl: kind.typeUrl, resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe });
    }
  }

  handle(stream: DeltaStream, response: PbDeltaResponse): void {
    const { log, runtime } = this.#options;
    const { typeUrl: url, nonce } = response;
    const kind = this.#kinds.find((k) => k.typeUrl === url);
    if (!kind) {
      stream.write({ typeUrl: url, responseNonce: nonce, errorDetail: { message: `${url} was not subscribed to` } });
      return;
    }
    const rejected: string[] = [];
    this.#applying = true;
    for (const { name, version, resource } of response.resources) {
      const reason = resource?.type_url === url ? this.#apply(kind, name, resource.value) : `the body is not a ${url}`;
      if (reason === undefined) kind.versions.set(name, version);
      else {
        rejected.push(`${name}: ${reason}`);
        log.warn('rejected a resource, the last good version stays', { type_url: url, name, reason });
      }
    }
    for (const name of response.removedResources) {
      kind.versions.delete(name);
      runtime.remove(kind.kind, name);
    }
    kind.answered = true;
    stream.write({
      typeUrl: url,
      responseNonce: nonce,
      ...(rejected.length > 0 && { errorDetail: { message: rejected.join('; ') } }),
    });
    this.#applying = false;
    this.#ask(stream);
  }

  /** undefined: it is in use. Otherwise why not. */
  #apply(kind: Kind, name: string, value: Uint8Array): string | undefined {
    const decoded = decodeEnvoy(kind.typeUrl, value);
    if (decoded.kind === 'rejected') return decoded.reason;
    const own = decoded.value['name'] ?? decoded.value['cluster_name'];
    // Removal goes by name: what is stored under another one could never be removed again.
    if (own !== name) return `the body is that of "${String(own)}"`;
    const applied = this.#options.runtime.apply(kind.kind, decoded.value);
    return applied.kind === 'rejected' ? applied.reason : undefined;
  }
}
