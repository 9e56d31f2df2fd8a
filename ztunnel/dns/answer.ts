/** What a pod gets for a DNS query: names of the mesh from the store, everything else from the name servers (ambient-wire 8). */
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { type NameOptions, type NameRecord, resolveName, searchDomains } from '../../common/dns/resolve.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { Workload } from '../../common/mesh/types.ts';
import type { DnsMetrics, DnsQuery } from '../../common/telemetry/dns.ts';
import type { ProxiedPod } from '../proxy/pod.ts';
import type { Forwarder } from './forward.ts';
import {
  errorReply,
  failureReply,
  fitUdp,
  forwardedReply,
  parseQuery,
  type Query,
  rcode,
  recordsReply,
} from './message.ts';

export interface DnsSettings {
  readonly clusterDomain: string;
  readonly preferredNamespace: string | undefined;
  /** What the resolver of a dedicated proxy's machine appends; undefined: that of pods. */
  readonly searchDomains: readonly string[] | undefined;
  readonly ipv6: boolean;
  /** false: everything is forwarded (ISTIO_META_DNS_CAPTURE=false while the agent still captures). */
  readonly fromMesh: boolean;
}

export interface DnsTools {
  readonly store: MeshReader;
  readonly settings: DnsSettings;
  readonly metrics: DnsMetrics;
  readonly clock: Clock;
  readonly random: () => number;
  /** Target `dns`. */
  readonly log: Logger;
}

export type Transport = 'udp' | 'tcp';

export class DnsAnswerer {
  readonly #pod: ProxiedPod;
  readonly #forwarder: Forwarder;
  readonly #tools: DnsTools;
  readonly #options: NameOptions;

  constructor(pod: ProxiedPod, forwarder: Forwarder, tools: DnsTools) {
    this.#pod = pod;
    this.#forwarder = forwarder;
    this.#tools = tools;
    const { clusterDomain, preferredNamespace, ipv6 } = tools.settings;
    this.#options = {
      clusterDomain,
      preferredNamespace,
      ipv6,
      random: tools.random,
      searchDomains: tools.settings.searchDomains ?? searchDomains(pod.info.namespace, clusterDomain),
    };
  }

  /** The reply, or undefined where the bytes deserve none. Never rejects. */
  async answer(bytes: Buffer, transport: Transport, signal: AbortSignal): Promise<Buffer | undefined> {
    const { metrics } = this.#tools;
    const parsed = parseQuery(bytes);
    if (parsed.kind !== 'query') {
      metrics.malformed(transport);
      return parsed.kind === 'error' ? errorReply(parsed.id, parsed.rcode) : undefined;
    }
    const { query } = parsed;
    const client = this.#pod.workload();
    const about: DnsQuery = { type: query.asked, protocol: transport, source: client };
    metrics.request(about);
    if (!client) {
      this.#logged(query, client, 'the mesh does not know the pod', []);
      return failureReply(query, rcode.servFail);
    }
    const records = this.#fromMesh(query, client);
    if (!records) return this.#forward(bytes, query, about, transport, signal);
    this.#logged(query, client, 'answered from the mesh', records);
    const reply = recordsReply(query, records);
    return transport === 'udp' ? fitUdp(query, reply) : reply;
  }

  #fromMesh(query: Query, client: Workload): readonly NameRecord[] | undefined {
    if (query.type === 'other' || !this.#tools.settings.fromMesh) return undefined;
    const found = resolveName(this.#tools.store, { name: query.name, type: query.type, client }, this.#options);
    return found.kind === 'found' ? found.records : undefined;
  }

  async #forward(
    bytes: Buffer,
    query: Query,
    about: DnsQuery,
    transport: Transport,
    signal: AbortSignal,
  ): Promise<Buffer> {
    const { metrics, clock } = this.#tools;
    const start = clock.now();
    try {
      const reply = forwardedReply(query, await this.#forwarder.forward(bytes, transport, signal));
      metrics.upstream(about, (clock.now() - start) / 1000);
      this.#logged(query, about.source, 'forwarded', []);
      return transport === 'udp' ? fitUdp(query, reply) : reply;
    } catch (e) {
      metrics.upstreamFailed(about);
      this.#logged(query, about.source, describeError(e), []);
      return failureReply(query, rcode.servFail);
    }
  }

  /** ztunnel's keys (ambient-wire 7.2). */
  #logged(query: Query, client: Workload | undefined, result: string, records: readonly NameRecord[]): void {
    const { log } = this.#tools;
    if (!log.enabled('debug')) return;
    log.debug('dns query', {
      'src.workload': client?.name,
      'src.namespace': client?.namespace,
      query: query.asked,
      domain: query.name,
      result,
      endpoints: records
        .filter((r) => r.type !== 'CNAME')
        .map((r) => r.data)
        .join(','),
    });
  }
}
