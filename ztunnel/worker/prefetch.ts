/**
 * Certificates from before they are needed, for every workload of this node that takes HBONE (ambient-wire 4), until neither
 * such a workload nor a pod that is served needs them any more.
 */
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { CertificateStore } from '../../common/identity/types.ts';
import { identityOf } from '../../common/mesh/address.ts';
import type { MeshChanges, MeshReader } from '../../common/mesh/store.ts';
import type { Identity, Workload } from '../../common/mesh/types.ts';

type Certificates = Pick<CertificateStore, 'prefetch' | 'forget' | 'entries'>;

export class Prefetcher {
  readonly #store: MeshReader;
  readonly #certificates: Certificates;
  readonly #nodeName: string | undefined;
  readonly #served: (identity: Identity) => boolean;
  /** By uid of the workload that needs it. */
  readonly #needed = new Map<string, Identity>();
  /** Workloads an identity, by its text. */
  readonly #users = new Map<string, number>();

  /** Without `nodeName` nothing is fetched in advance. `served`: whether a pod of the identity is. */
  constructor(
    store: MeshReader,
    certificates: Certificates,
    nodeName: string | undefined,
    served: (identity: Identity) => boolean,
  ) {
    this.#store = store;
    this.#certificates = certificates;
    this.#nodeName = nodeName;
    this.#served = served;
  }

  meshChanged(changes: MeshChanges): void {
    for (const uid of changes.workloads) {
      const workload = this.#store.workload(uid);
      const wanted = workload && needsCertificate(workload, this.#nodeName) ? identityOf(workload) : undefined;
      const had = this.#needed.get(uid);
      if (wanted) {
        this.#needed.set(uid, wanted);
        this.#use(wanted);
      } else {
        this.#needed.delete(uid);
      }
      // After the new one, so that an identity which stays is not dropped and made again.
      if (had) this.#drop(had);
    }
  }

  /** A pod is not served any more. Looks at all entries: its identity may never have been announced as one that needs any. */
  podDropped(): void {
    for (const { identity } of this.#certificates.entries()) this.#forgetUnused(identity);
  }

  #use(identity: Identity): void {
    const key = formatSpiffe(identity);
    const users = this.#users.get(key) ?? 0;
    this.#users.set(key, users + 1);
    if (users === 0) this.#certificates.prefetch(identity);
  }

  #drop(identity: Identity): void {
    const key = formatSpiffe(identity);
    const users = (this.#users.get(key) ?? 0) - 1;
    if (users > 0) {
      this.#users.set(key, users);
    } else {
      this.#users.delete(key);
      this.#forgetUnused(identity);
    }
  }

  /** A pod that leaves is announced without HBONE first, and yet serves it for a while; podDropped() then forgets. */
  #forgetUnused(identity: Identity): void {
    if (!this.#users.has(formatSpiffe(identity)) && !this.#served(identity)) this.#certificates.forget(identity);
  }
}

export function needsCertificate(w: Workload, nodeName: string | undefined): boolean {
  return w.node === nodeName && (w.tunnelProtocol === 'HBONE' || w.nativeTunnel);
}
