/** Certificates before they are needed: for every workload of this node that takes HBONE (ambient-wire 4). */
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { CertificateStore } from '../../common/identity/types.ts';
import { identityOf } from '../../common/mesh/resolve.ts';
import type { MeshChanges, MeshReader } from '../../common/mesh/store.ts';
import type { Identity, Workload } from '../../common/mesh/types.ts';

export class Prefetcher {
  readonly #store: MeshReader;
  readonly #certificates: Pick<CertificateStore, 'prefetch' | 'forget'>;
  readonly #nodeName: string;
  /** By uid of the workload that needs it. */
  readonly #needed = new Map<string, Identity>();
  /** Workloads an identity, by its text. */
  readonly #users = new Map<string, number>();

  constructor(store: MeshReader, certificates: Pick<CertificateStore, 'prefetch' | 'forget'>, nodeName: string) {
    this.#store = store;
    this.#certificates = certificates;
    this.#nodeName = nodeName;
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
      this.#certificates.forget(identity);
    }
  }
}

export function needsCertificate(w: Workload, nodeName: string): boolean {
  return w.node === nodeName && (w.tunnelProtocol === 'HBONE' || w.nativeTunnel);
}
