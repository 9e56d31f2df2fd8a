/** Envoys that are connected, by what they are told. */
import { status } from '@grpc/grpc-js';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { envoyProtos } from '../../../common/envoy/protos.ts';
import type { EnvoyMesh } from '../../model/envoy/mesh-view.ts';
import type { ObjectRef } from '../../model/resource.ts';
import type { Client, Welcome } from '../client.ts';
import type { Identity } from '../identity.ts';
import { EnvoyOrder } from '../order.ts';
import { EnvoyGroup } from './group.ts';
import { proxyOf } from './proxy.ts';

export interface GroupsOptions {
  readonly mesh: EnvoyMesh;
  /** The cluster's own. */
  readonly network: () => string;
  readonly log: Logger;
  readonly nonce: () => string;
  readonly controlPlane: string;
  /** Something else was made of these objects. */
  readonly onMade: (objects: readonly ObjectRef[]) => void;
}

interface Members {
  readonly group: EnvoyGroup;
  readonly clients: Set<Client>;
}

export class EnvoyGroups {
  readonly #options: GroupsOptions;
  readonly #groups = new Map<string, Members>();
  readonly #keys = new Map<Client, string>();

  constructor(options: GroupsOptions) {
    this.#options = options;
  }

  joined(client: Client, identity: Exclude<Identity, { kind: 'refused' }>, generation: number): Welcome {
    const { mesh, network } = this.#options;
    const verdict = proxyOf(identity, mesh.place(identity.namespace, identity.pod), network());
    if (verdict.kind === 'refused') return { kind: 'refused', code: status.INVALID_ARGUMENT, reason: verdict.reason };
    const key = JSON.stringify(verdict.proxy);
    const members = this.#groups.get(key) ?? { group: this.#make(verdict.proxy, generation), clients: new Set() };
    members.clients.add(client);
    this.#groups.set(key, members);
    this.#keys.set(client, key);
    return { kind: 'ok', feeds: members.group.feeds, order: new EnvoyOrder(), group: members.group };
  }

  left(client: Client): void {
    const key = this.#keys.get(client);
    const members = key === undefined ? undefined : this.#groups.get(key);
    if (key === undefined || members === undefined) return;
    this.#keys.delete(client);
    members.clients.delete(client);
    if (members.clients.size === 0) this.#groups.delete(key);
  }

  /** Lookups of the mesh that find something else now. */
  changed(lookups: ReadonlySet<string>, generation: number): void {
    if (lookups.size === 0) return;
    for (const { group, clients } of this.#groups.values()) {
      const change = group.changed(lookups, generation);
      if (change === undefined) continue;
      for (const client of clients) client.groupChanged(change);
      this.#options.onMade(group.objectsOf(change));
      for (const { type, journal } of group.feeds.values())
        journal.forget(() => Math.min(journal.last, ...[...clients].map((c) => c.told(type))));
    }
  }

  /** Lets go of responses that were kept for several. */
  release(): void {
    for (const { group } of this.#groups.values()) for (const feed of group.feeds.values()) feed.release();
  }

  #make(proxy: ConstructorParameters<typeof EnvoyGroup>[0]['proxy'], generation: number): EnvoyGroup {
    const { mesh, nonce, controlPlane, log } = this.#options;
    // Reading them takes a while, after which all clients would wait as long if it happened in a round of pushes.
    envoyProtos();
    const onFailure = (what: string, error: unknown) =>
      log.error("a part of Envoys' configuration cannot be made; what was made of it before stays", {
        what,
        error: describeError(error),
      });
    const group = new EnvoyGroup({ proxy, mesh, nonce, controlPlane, onFailure }, generation);
    this.#options.onMade(group.objectsOf(group.all));
    return group;
  }
}
