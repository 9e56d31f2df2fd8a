/**
 * One delta ADS stream: all clusters and listeners, and by name the endpoints, route tables and secrets that those ask for. What is not
 * understood is NACKed by resource and field, and the last good one stays; what was learned stays when the control plane goes away.
 */
import { Client, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js';
import {
  deltaAdsService,
  type Encodable,
  type PbDeltaRequest,
  type PbDeltaResponse,
  type PbNode,
} from '../../common/api/index.ts';
import type { Millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { decodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { classify, nextDelay, type Termination } from '../../common/xds/backoff.ts';
import type { Connection } from '../../common/xds/connect.ts';
import type { ResourceKind, Runtime } from './runtime.ts';

export interface AdsOptions {
  /** Asked for each connection, so that rotated tokens and roots are used. */
  readonly connect: () => Promise<Connection>;
  readonly node: Encodable<PbNode>;
  readonly runtime: Runtime;
  /** Secrets that do not come by this stream. */
  readonly ownSecrets: ReadonlySet<string>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends the client for good. */
  readonly signal: AbortSignal;
}

export interface Ads {
  /** Types whose first response is still to come. */
  pending(): readonly string[];
}

type Stream = ClientDuplexStream<Encodable<PbDeltaRequest>, PbDeltaResponse>;

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
  const { runtime, ownSecrets } = options;
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
    kind('secret', 'envoy.extensions.transport_sockets.tls.v3.Secret', () =>
      without(runtime.wantedSecrets, ownSecrets),
    ),
  ];
  void run(new Subscriber(kinds, options), options);
  return { pending: () => kinds.filter((k) => k.wanted === undefined && !k.answered).map((k) => `${k.kind}s`) };
}

function without(names: ReadonlySet<string>, others: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...names].filter((name) => !others.has(name)));
}

async function run(subscriber: Subscriber, { clock, log, signal }: AdsOptions): Promise<void> {
  let delay: Millis | undefined;
  while (!signal.aborted) {
    const { end, delivered } = await subscriber.connectOnce();
    if (signal.aborted) return;
    delay = nextDelay(delay, end, delivered);
    log.warn('connection to the control plane ended', { reason: end.reason, detail: end.detail, retry_ms: delay });
    await sleep(clock, delay, signal);
  }
}

interface Outcome {
  readonly end: Termination;
  readonly delivered: boolean;
}

class Subscriber {
  readonly #kinds: readonly Kind[];
  readonly #options: AdsOptions;
  /** A response is being applied: what it names is asked for behind its answer. */
  #applying = false;

  constructor(kinds: readonly Kind[], options: AdsOptions) {
    this.#kinds = kinds;
    this.#options = options;
  }

  /** Runs one connection to its end. Never rejects. */
  async connectOnce(): Promise<Outcome> {
    try {
      const connection = await this.#options.connect();
      const client = new Client(connection.target, connection.credentials, connection.options);
      try {
        return await this.#stream(client, connection);
      } finally {
        client.close();
      }
    } catch (e) {
      return { end: { reason: 'ConnectionError', detail: describeError(e) }, delivered: false };
    }
  }

  #stream(client: Client, connection: Connection): Promise<Outcome> {
    const { signal, runtime, log } = this.#options;
    const method = deltaAdsService.DeltaAggregatedResources;
    const stream = client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      connection.metadata,
    );
    return new Promise((resolve) => {
      let connected = false;
      let delivered = false;
      const cancel = () => stream.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      stream.on('metadata', () => {
        connected = true;
        log.info('connected to the control plane', { address: connection.target });
      });
      stream.on('data', (response: PbDeltaResponse) => {
        delivered = true;
        this.#handle(stream, response);
      });
      // The status event tells the same with its code, and always comes.
      stream.on('error', () => undefined);
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
      const unwatch = runtime.watch(() => this.#ask(stream));
      stream.on('status', (s: StatusObject) => {
        unwatch();
        signal.removeEventListener('abort', cancel);
        resolve({ end: classify(s.code, s.details, connected), delivered });
      });
    });
  }

  /** Tells which names are asked for anew, and which no longer. */
  #ask(stream: Stream): void {
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

  #handle(stream: Stream, response: PbDeltaResponse): void {
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
